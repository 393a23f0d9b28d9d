"""The event log: streams of events in PostgreSQL, by the recorder of the `eventsourcing` library."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Self, cast
from uuid import UUID

import psycopg
from eventsourcing.persistence import IntegrityError, InterfaceError, OperationalError, PersistenceError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.utils import retry
from psycopg.conninfo import conninfo_to_dict

from domain.errors import Fault
from domain.event import Event
from domain.model import Value
from event_store.connections import ALIVE
from event_store.mapper import Cause, DomainMapper, RecordedEvent
from event_store.metering import over_allowance
from event_store.names import LOG_SCHEMA, LOG_TABLE
from event_store.reservations import refusal
from event_store.statements import Statement

Decide = Callable[[tuple[Any, ...]], Sequence[Event]]
"""Takes the events of one stream, which are of one aggregate, and answers what to append."""
Shown = Callable[[UUID, Sequence[Event]], Sequence[Statement]]
"""Takes the first events of a stream, and answers statements that show it in a read model."""

_ATTEMPTS = 20
_POOL = 4
_CONNECT_SECONDS = 2.0
_LOCK_SECONDS = 5


class Appended(Value):
    """The stream's version after an append, and how many events this call added to it."""

    version: int
    appended: int


class EventLog:
    """Reads streams and appends to them. Blocking: call it in a thread. Connects when first used.

    Every method raises `Fault` (`log.unavailable`) when the database does not answer.
    """

    def __init__(self, url: str) -> None:
        self._datastore = _datastore(url)
        self._recorder: Recorder | None = None
        self._mapper = DomainMapper()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._datastore.close()

    def read(self, stream: UUID) -> tuple[RecordedEvent, ...]:
        """Read a whole stream, oldest event first."""
        with _typed_errors():
            return tuple(map(self._mapper.to_domain_event, self._ready().select_events(stream)))

    def append(
        self,
        stream: UUID,
        cause: Cause,
        decide: Decide,
        *,
        also: Sequence[Statement] = (),
        begins: bool = False,
        shown: Shown | None = None,
    ) -> Appended:
        """Append what `decide` makes of the stream's events, once for each `cause`.

        A repeat is safe at every point: a stream that holds an event of this cause is left as it is, a
        commit whose answer was lost is found again by that, and of two that append at once the later
        one reads and decides anew. `also` are statements for the same transaction, run before the
        insert (a quota reservation): if one fails, nothing is written. `begins` says that the stream
        is most likely empty: then it is read only if the insert finds that it is not. With `also` it is read
        first in any case, for a reservation might refuse a repeat. What `shown` makes of the first events of a stream
        is run after their insert, in the same transaction.

        Raises:
            Verdict: a reservation among `also` is refused.
            Fault: `log.contended` if others were faster twenty times; whatever `decide` raises.

        """
        for attempt in range(_ATTEMPTS):
            history = () if begins and not also and attempt == 0 else self.read(stream)
            if any(recorded.cause == cause for recorded in history):
                return Appended(version=len(history), appended=0)
            events = decide(tuple(recorded.event for recorded in history))
            if not events:
                return Appended(version=len(history), appended=0)
            then = () if shown is None or history else shown(stream, events)
            if self._insert(_placed(stream, len(history), cause, events), also, then):
                return Appended(version=len(history) + len(events), appended=len(events))
        raise Fault.because("log.contended", f"stream {stream} is appended to by too many at once")

    def _insert(self, batch: Sequence[RecordedEvent], also: Sequence[Statement], then: Sequence[Statement]) -> bool:
        """Insert the batch; false if a version of it is taken."""
        stored = [self._mapper.to_stored_event(recorded) for recorded in batch]
        with _typed_errors():
            try:
                self._ready().insert_events(stored, also=also, then=then)
            except IntegrityError as error:
                if _is_version_conflict(error):
                    return False
                raise
            except PersistenceError as error:
                refused = refusal(error) or over_allowance(error)
                if refused is not None:
                    raise refused from error
                raise
        return True

    def _ready(self) -> "Recorder":
        """Make the recorder, which asks the database about its types, when it is first needed."""
        if self._recorder is None:
            self._recorder = Recorder(self._datastore, events_table_name=LOG_TABLE)
        if not self._datastore.psycopg_python_types:  # made before the migration was done
            self._datastore.register_type_adapters()
        return self._recorder


def create_log_tables(url: str) -> None:
    """Create what the library keeps its events in; harmless to repeat."""
    datastore = _datastore(url)
    try:
        with _typed_errors():
            PostgresApplicationRecorder(datastore, events_table_name=LOG_TABLE).create_table()
    finally:
        datastore.close()


class Recorder(PostgresApplicationRecorder):
    """The library's recorder, which waits for the database once for each insert instead of six times.

    Whatever is refused, the rest of the pipeline is left undone, and the refusal is what is raised.
    """

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:  # noqa: ANN401 - the library's signature
        """Insert events, after the statements `also` and before `then`, all in one transaction."""
        with self.datastore.get_connection() as connection, connection.pipeline(), connection.cursor() as cursor:
            cursor.execute("BEGIN")
            for query, parameters in kwargs.get("also", ()):
                cursor.execute(query, parameters)
            self._insert_stored_events(cursor, stored_events)
            for query, parameters in kwargs.get("then", ()):
                cursor.execute(query, parameters)
            cursor.execute("COMMIT")


def _datastore(url: str) -> PostgresDatastore:
    """Make the library's datastore of a URL; what it has no parameter for (`sslmode`, …) goes to each connection."""
    info = {key: value for key, value in conninfo_to_dict(url).items() if value is not None}
    datastore = PostgresDatastore(
        dbname=str(info.pop("dbname", "")),
        host=str(info.pop("host", "")),
        port=str(info.pop("port", "5432")),
        user=str(info.pop("user", "")),
        password=str(info.pop("password", "")),
        connect_timeout=_CONNECT_SECONDS,
        idle_in_transaction_session_timeout=30,
        pool_size=1,
        max_overflow=_POOL - 1,
        lock_timeout=_LOCK_SECONDS,
        schema=LOG_SCHEMA,
    )
    cast("dict[str, Any]", datastore.pool.kwargs).update({**ALIVE, **info})
    return datastore


def _placed(stream: UUID, version: int, cause: Cause, events: Sequence[Event]) -> list[RecordedEvent]:
    return [
        RecordedEvent(stream, version + 1 + ordinal, cause.event_id(stream, event.NAME, ordinal), cause, event)
        for ordinal, event in enumerate(events)
    ]


def _is_version_conflict(error: IntegrityError) -> bool:
    cause = error.__cause__
    return isinstance(cause, psycopg.errors.UniqueViolation) and cause.diag.table_name == LOG_TABLE


@contextmanager
def _typed_errors() -> Generator[None]:
    try:
        yield
    except (PersistenceError, psycopg.Error) as error:
        raise Fault.because(
            "log.unavailable",
            f"the event log did not do it: {error}",
            next="Look at the database; the work goes on by itself once it answers.",
        ) from error
