"""Makes a read model anew from the log, beside the old one, and swaps them in one transaction."""

import gc
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from domain.model import Value
from event_store.catalog import PROJECTIONS
from event_store.mapper import StreamEvent, decode_event, others
from event_store.names import LOG_SCHEMA, LOG_TABLE, PROJECTIONS_TABLE, READ_SCHEMA, VIEWED_CHANNEL
from event_store.projection import Projection, Versioned, notice

_FETCH = 2000
_REBUILD_LOCK = 0x0F_AC_70_13  # an arbitrary number, the same in every release
_BESIDE = "_rebuilt"  # what the name of a table ends with that is to take another's place
_log = logging.getLogger(__name__)

S = TypeVar("S", bound=Versioned)


class Rebuilt(Value):
    """How many events of its aggregate made how many rows."""

    name: str
    events: int
    rows: int


def _another_runs() -> None:
    _log.warning("another rebuild of the read models runs; waiting for it")


def rebuild_projections(
    owner_url: str,
    projections: Sequence[Projection[Any]] = PROJECTIONS,
    *,
    say_that_another_runs: Callable[[], None] = _another_runs,
) -> tuple[Rebuilt, ...]:
    """Rebuild read models, every one if none are named; the factory may go on working meanwhile.

    Rebuilds run one after the other; `say_that_another_runs` is called when this one has to wait.

    The log is folded in memory up to now, in one reading for all of them. Then each gets a new table, catches up
    while the projector waits, and takes the old one's place.

    Raises:
        Fault: `log.unreadable_event` or `projection.gap`; the old rows then stay.

    """
    folds = [_Fold(projection) for projection in projections]
    with _collector_paused(), psycopg.connect(owner_url, autocommit=True) as connection:
        _take_turn(connection, say_that_another_runs)
        drop_left(connection)
        _read_on(connection, folds)
        for fold in folds:
            _make_and_swap(connection, fold)
    return tuple(Rebuilt(name=fold.projection.name, events=fold.events, rows=len(fold.states)) for fold in folds)


def drop_left(connection: Connection[Any]) -> None:
    """Drop the tables of rebuilds that were killed; while another session's rebuild runs nothing is dropped."""
    with connection.transaction():
        found = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_REBUILD_LOCK,)).fetchone()
        if found is None or not found[0]:
            return
        query = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND right(tablename, %s) = %s"
        for (name,) in connection.execute(query, (READ_SCHEMA, len(_BESIDE), _BESIDE)).fetchall():
            connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(READ_SCHEMA, name)))


def _take_turn(connection: Connection[Any], say_that_another_runs: Callable[[], None]) -> None:
    found = connection.execute("SELECT pg_try_advisory_lock(%s)", (_REBUILD_LOCK,)).fetchone()
    if found is None or not found[0]:
        say_that_another_runs()
        connection.execute("SELECT pg_advisory_lock(%s)", (_REBUILD_LOCK,))


@contextmanager
def _collector_paused() -> Generator[None]:
    """Keep the cycle collector from walking, again and again, states that hold no cycles: a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Fold(Generic[S]):
    """The states of one read model's aggregates, folded as far as the log was read."""

    def __init__(self, projection: Projection[S]) -> None:
        self.projection = projection
        self.position = 0
        self.events = 0
        self.states: dict[str, S] = {}
        self._changed: set[str] = set()

    def add(self, placed: StreamEvent) -> None:
        """Fold the next event."""
        self.events += 1
        key = str(placed.stream)
        self.states[key] = self.projection.apply(self.states.get(key), placed)
        self._changed.add(key)

    def take_changed(self) -> dict[str, S]:
        """Give the states that changed since the last time."""
        changed, self._changed = self._changed, set()
        return {key: self.states[key] for key in changed}


def _read_on(connection: Connection[Any], folds: Sequence[_Fold[Any]]) -> None:
    """Fold what the log holds behind the position, which is the same of all."""
    takers = {name: fold for fold in folds for name in fold.projection.events}
    where = SQL("FROM {} WHERE notification_id > %s").format(Identifier(LOG_SCHEMA, LOG_TABLE))
    after = folds[0].position
    # A cursor on the server lives in a transaction, and the rows in memory are those of one fetch.
    with connection.transaction(), connection.cursor(name="rebuild", binary=True) as cursor:
        # Appends wait for each other, so what is behind the last number comes later than all that is read here.
        found = connection.execute(SQL("SELECT max(notification_id) ") + where, (after,)).fetchone()
        cursor.itersize = _FETCH
        cursor.execute(
            SQL("SELECT notification_id, originator_id, originator_version, topic, state ")
            + where
            + SQL(" AND topic <> ALL(%s) ORDER BY notification_id"),
            (after, others(frozenset(takers))),
        )
        position = (found and found[0]) or after
        for number, stream, version, name, state in cursor:
            event = decode_event(stream, version, name, state)  # which says so if it knows no such event
            takers[name].add(event)
            position = max(position, number)
    for fold in folds:
        fold.position = position


def _make_and_swap(connection: Connection[Any], fold: _Fold[Any]) -> None:
    fresh = f"{fold.projection.name}{_BESIDE}"
    with connection.transaction():
        _make_filled(connection, fold.projection, fresh, fold.take_changed())
    with connection.transaction():
        _catch_up_and_swap(connection, fold, fresh)


def _catch_up_and_swap(connection: Connection[Any], fold: _Fold[Any], fresh: str) -> None:
    projection = fold.projection
    # The projector takes this row's lock for every batch, so from here on it waits.
    connection.execute(
        SQL("SELECT 1 FROM {} WHERE name = %s FOR UPDATE").format(Identifier(LOG_SCHEMA, PROJECTIONS_TABLE)),
        (projection.name,),
    )
    _read_on(connection, [fold])
    late = fold.take_changed()
    with connection.cursor() as cursor:
        cursor.executemany(projection.upsert(fresh), [projection.row(state) for state in late.values()])
    _swap(connection, projection, fresh, fold.position)
    for key, state in late.items():
        connection.execute("SELECT pg_notify(%s, %s)", (VIEWED_CHANNEL, notice(key, state)))


def _make_filled(connection: Connection[Any], projection: Projection[S], table: str, states: dict[str, S]) -> None:
    connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(READ_SCHEMA, table)))
    for statement in projection.create(table):
        connection.execute(statement)
    copy_in = SQL("COPY {} ({}) FROM STDIN").format(
        Identifier(READ_SCHEMA, table), SQL(", ").join(map(Identifier, projection.columns))
    )
    with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
        for state in states.values():
            copy.write_row(projection.row(state))
    for statement in projection.protect(table):
        connection.execute(statement)


def _swap(connection: Connection[Any], projection: Projection[S], fresh: str, position: int) -> None:
    name = Identifier(projection.name)
    connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(READ_SCHEMA, projection.name)))
    connection.execute(SQL("ALTER TABLE {} RENAME TO {}").format(Identifier(READ_SCHEMA, fresh), name))
    connection.execute(
        SQL("UPDATE {} SET position = %s, shape = %s WHERE name = %s").format(
            Identifier(LOG_SCHEMA, PROJECTIONS_TABLE)
        ),
        (position, projection.shape, projection.name),
    )
