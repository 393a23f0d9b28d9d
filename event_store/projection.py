"""What a read model is: a table with a row for each aggregate, and the pure fold that fills it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, LiteralString, Protocol, TypeVar
from uuid import UUID

from psycopg.sql import SQL, Composed, Identifier

from domain.errors import Fault
from event_store.mapper import StreamEvent
from event_store.names import FRONT_ROLE, ORG_SETTING, OWNER_ROLE, READ_SCHEMA, VIEWED_CHANNEL
from event_store.statements import Statement


class Versioned(Protocol):
    """A folded aggregate of an organization; `version` is the number of its events."""

    @property
    def org_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def version(self) -> int:
        """The number of events folded."""
        ...


S = TypeVar("S", bound=Versioned)


def notice(key: str, state: Versioned) -> str:
    """Say on `VIEWED_CHANNEL` which version of an aggregate can be seen now, and by whom."""
    return f"{key} {state.version} {state.org_id}"


@dataclass(frozen=True)
class Projection(Generic[S]):
    """One read model.

    `events` are the names of the aggregate's events, all of which `fold` takes. `definition` is the
    inside of CREATE TABLE and must have the columns `org_id`, `version` and `state`; `indexes` are the
    insides of CREATE INDEX. The first of `columns` is the primary key, the aggregate's id as text.
    `content` names the form of the state: when it or the table changes, the rows are made anew. It is worked out
    when it is asked for, which is once at each start, and not by every program that reads.
    """

    name: LiteralString
    definition: LiteralString
    indexes: tuple[LiteralString, ...]
    columns: tuple[LiteralString, ...]
    events: frozenset[str]
    content: Callable[[], str]
    fold: Callable[[S | None, Any], S]
    row: Callable[[S], tuple[object, ...]]
    load: Callable[[str], S]

    @property
    def shape(self) -> str:
        """SHA-256 of all that decides what the rows look like."""
        parts = (self.definition, *self.indexes, *self.columns, self.content())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def apply(self, state: S | None, placed: StreamEvent) -> S:
        """Fold one event.

        Raises:
            Fault: `projection.gap` if the event is not the next one of its stream.

        """
        folded = self.fold(state, placed.event)
        if folded.version != placed.version:
            raise Fault.because(
                "projection.gap",
                f"{self.name}: event {placed.version} of stream {placed.stream} "
                f"came where version {folded.version} was due",
                next="Run: openfactory rebuild-projections",
            )
        return folded

    def first_seen(self, stream: UUID, events: Sequence[Any]) -> list[Statement]:
        """Statements that show a new aggregate at once, in the transaction that appends its first events.

        The projector comes to these events as to all others and finds their row there; whoever asked for the
        aggregate does not have to wait for that.
        """
        state: S | None = None
        for event in events:
            state = self.fold(state, event)
        if state is None:
            return []
        first = self._insert(self.name) + SQL(" ON CONFLICT DO NOTHING")
        return [(first, self.row(state)), ("SELECT pg_notify(%s, %s)", (VIEWED_CHANNEL, notice(str(stream), state)))]

    def create(self, table: str) -> list[Composed]:
        """DDL of the table under the name `table`; nobody but the owner sees it before it is protected."""
        return [SQL("CREATE TABLE {} ({})").format(Identifier(READ_SCHEMA, table), SQL(self.definition))]

    def protect(self, table: str) -> list[Composed]:
        """DDL of the table's indexes, policies and grants.

        It comes after COPY, which row-level security rules out. Indexes have no names of their own, so
        a rebuilt table can take the old one's place.
        """
        at = Identifier(READ_SCHEMA, table)
        front, owner = Identifier(FRONT_ROLE), Identifier(OWNER_ROLE)
        return [
            *(SQL("CREATE INDEX ON {} {}").format(at, SQL(index)) for index in self.indexes),
            SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(at),
            SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(at),
            SQL("CREATE POLICY owner_writes ON {} TO {} USING (true) WITH CHECK (true)").format(at, owner),
            SQL(
                "CREATE POLICY front_reads_its_organization ON {} FOR SELECT TO {} "
                "USING (org_id = current_setting({}, true))"
            ).format(at, front, ORG_SETTING),
            SQL("REVOKE ALL ON {} FROM PUBLIC").format(at),
            SQL("GRANT SELECT ON {} TO {}").format(at, front),
        ]

    def upsert(self, table: str | None = None) -> Composed:
        """SQL that writes one row: what is there is replaced."""
        key, *others = self.columns
        return self._insert(table or self.name) + SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(
            Identifier(key),
            SQL(", ").join(SQL("{0} = excluded.{0}").format(Identifier(column)) for column in others),
        )

    def _insert(self, table: str) -> Composed:
        return SQL("INSERT INTO {} ({}) VALUES ({})").format(
            Identifier(READ_SCHEMA, table),
            SQL(", ").join(map(Identifier, self.columns)),
            SQL(", ").join([SQL("%s")] * len(self.columns)),
        )

    def select_states(self) -> Composed:
        """SQL that reads the states of the keys given as an array."""
        return SQL("SELECT {0}, state::text FROM {1} WHERE {0} = ANY(%s)").format(
            Identifier(self.columns[0]), Identifier(READ_SCHEMA, self.name)
        )
