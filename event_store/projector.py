"""The projector: a process that keeps the read models at the end of the log.

    python -m event_store.projector

Each batch of events moves the rows and positions of all read models in one transaction, so an event is
applied exactly once however often the process is killed, and a second projector only waits. It is woken
by the log's NOTIFY, and by a timer should one be lost. A lost database is waited for. An event that
cannot be applied is never skipped: the process logs it and ends with status 3.
"""

import asyncio
import logging
import signal
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Generic, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.sql import SQL, Identifier

from domain.errors import Fault
from event_store.catalog import PROJECTIONS
from event_store.connections import connect, transaction
from event_store.mapper import StreamEvent, decode_event, others
from event_store.names import APPENDED_CHANNEL, LOG_SCHEMA, LOG_TABLE, PROJECTIONS_TABLE, VIEWED_CHANNEL
from event_store.projection import Projection, Versioned, notice
from infra import settings as configuration
from infra.notify import ready
from infra.telemetry import configure_logging

_log = logging.getLogger(__name__)

POISONED = 3
_BATCH = 500
_NUDGE_SECONDS = 1.0
_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0
_REMEMBERED = 200

S = TypeVar("S", bound=Versioned)


class Feed(Generic[S]):
    """Folds events into one read model. Remembers the newest states, so that most batches read no row."""

    def __init__(self, projection: Projection[S]) -> None:
        self.projection = projection
        self._states: OrderedDict[str, S] = OrderedDict()
        self._position = -1

    def stand_at(self, position: int) -> None:
        """Forget the states when another projector or a rebuild moved the model meanwhile."""
        if position != self._position:
            self._states.clear()
        self._position = position

    def moved_to(self, position: int) -> None:
        """Note how far the model is."""
        self._position = position

    def forget(self) -> None:
        """Forget everything: the states may be ahead of the rows."""
        self._states.clear()
        self._position = -1

    async def fold(self, connection: AsyncConnection[Any], events: Sequence[StreamEvent]) -> None:
        """Apply events, and write the rows that they change."""
        await self._recall(connection, events)
        changed: dict[str, S] = {}
        for placed in events:
            key = str(placed.stream)
            changed[key] = self._states[key] = self.projection.apply(self._states.get(key), placed)
            self._states.move_to_end(key)
        while len(self._states) > _REMEMBERED:
            self._states.popitem(last=False)
        async with connection.cursor() as cursor:
            await cursor.executemany(self.projection.upsert(), [*map(self.projection.row, changed.values())])
            await cursor.executemany(
                "SELECT pg_notify(%s, %s)",
                [(VIEWED_CHANNEL, notice(key, state)) for key, state in changed.items()],
            )

    async def _recall(self, connection: AsyncConnection[Any], events: Sequence[StreamEvent]) -> None:
        begun = {str(placed.stream) for placed in events if placed.version == 1}  # a row of it says no more
        unknown = {str(placed.stream) for placed in events} - begun - self._states.keys()
        if unknown:
            found = await connection.execute(self.projection.select_states(), (sorted(unknown),))
            self._states.update({key: self.projection.load(state) for key, state in await found.fetchall()})


class Feeds:
    """Moves read models forward together: one reading of the log, one transaction, one commit."""

    def __init__(self, projections: Sequence[Projection[Any]] = PROJECTIONS) -> None:
        self._feeds = {projection.name: Feed(projection) for projection in projections}
        self._position = 0

    async def advance(self, connection: AsyncConnection[Any]) -> bool:
        """Apply the next batch; tells whether there may be another.

        Those that are behind the others go first, alone.

        Raises:
            Fault: `log.unreadable_event` or `projection.gap`; nothing is changed then.

        """
        try:
            async with transaction(connection):
                return await self._advance(connection)
        except BaseException:
            for feed in self._feeds.values():
                feed.forget()
            raise

    async def _advance(self, connection: AsyncConnection[Any]) -> bool:
        locking = await connection.execute(_LOCK, (list(self._feeds),))
        ending = await connection.execute(_LAST)
        # Most likely nobody has moved the models since, so that this is the next batch.
        expected = self._position
        asked = await _ask_batch(connection, expected, self._feeds.values())
        positions = {str(name): int(position) for name, position in await locking.fetchall()}
        if unknown := self._feeds.keys() - positions:
            raise Fault.because("projection.unknown", f"not migrated: {sorted(unknown)}", next="Run: migrate")
        for name, feed in self._feeds.items():
            feed.stand_at(positions[name])
        position = min(positions.values())
        ahead = [other for other in positions.values() if other > position]
        end = min([await _number(ending), *ahead])
        if end <= position:
            return False
        behind = {name: feed for name, feed in self._feeds.items() if positions[name] == position}
        if ahead or position != expected:
            asked = await _ask_batch(connection, position, behind.values())
        return await self._move(connection, behind, await asked.fetchall(), end) or bool(ahead)

    async def _move(
        self, connection: AsyncConnection[Any], feeds: Mapping[str, Feed[Any]], rows: Sequence[Any], end: int
    ) -> bool:
        """Move these feeds, which stand at the same position, by the log's next rows up to `end`.

        Appends hold a table lock, so no lower position can turn up later. False when they are at the end.
        """
        whole = len(rows) < _BATCH or rows[-1][0] >= end
        end = end if whole else int(rows[-1][0])
        takers = {event: feed for feed in feeds.values() for event in feed.projection.events}
        taken: defaultdict[Feed[Any], list[StreamEvent]] = defaultdict(list)
        for position, *stored in rows:
            if position <= end:
                placed = decode_event(*stored)
                taken[takers[stored[2]]].append(placed)
        for feed, events in taken.items():
            await feed.fold(connection, events)
        await connection.execute(_MOVE, (end, list(feeds)))
        for feed in feeds.values():
            feed.moved_to(end)
        self._position = end
        return not whole


_PROJECTIONS = Identifier(LOG_SCHEMA, PROJECTIONS_TABLE)
_LOCK = SQL("SELECT name, position FROM {} WHERE name = ANY(%s) ORDER BY name FOR UPDATE").format(_PROJECTIONS)
_MOVE = SQL("UPDATE {} SET position = %s WHERE name = ANY(%s)").format(_PROJECTIONS)
_LAST = SQL("SELECT max(notification_id) FROM {}").format(Identifier(LOG_SCHEMA, LOG_TABLE))
_NEXT = SQL(
    "SELECT notification_id, originator_id, originator_version, topic, state FROM {} "
    "WHERE notification_id > %s AND topic <> ALL(%s) ORDER BY notification_id LIMIT %s"
).format(Identifier(LOG_SCHEMA, LOG_TABLE))


async def _ask_batch(
    connection: AsyncConnection[Any], position: int, feeds: Iterable[Feed[Any]]
) -> AsyncCursor[tuple[Any, ...]]:
    """Ask for what comes next in the log for these feeds. An event of an unknown name is not passed over."""
    passed_over = others(frozenset(event for feed in feeds for event in feed.projection.events))
    return await connection.execute(_NEXT, (position, passed_over, _BATCH), binary=True)


async def _number(cursor: AsyncCursor[Any]) -> int:
    row = await cursor.fetchone()
    return 0 if row is None or row[0] is None else int(row[0])


async def project(url: str) -> None:
    """Keep the read models up to date until cancelled; a lost database is tried again with growing waits.

    Raises:
        Fault: an event cannot be applied.

    """
    wait = _FIRST_BACKOFF
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await _project_while_connected(url)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if asyncio.get_running_loop().time() - started > _LONGEST_BACKOFF:
                wait = _FIRST_BACKOFF
            _log.warning("lost the database, trying again in %.1f s: %s", wait, error)
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST_BACKOFF)


async def _project_while_connected(url: str) -> None:
    async with AsyncExitStack() as stack:
        listening = await stack.enter_async_context(await connect(url, "projector (listening)"))
        working = await stack.enter_async_context(await connect(url, "projector"))
        # Rows and position are lost together when the server dies right after, and made again from the log.
        await working.execute("SET synchronous_commit TO off")
        await listening.execute(SQL("LISTEN {}").format(Identifier(APPENDED_CHANNEL)))
        woken = asyncio.Event()
        ear = asyncio.create_task(_listen(listening, woken))
        stack.callback(ear.cancel)
        feeds = Feeds()
        _log.info("connected")
        ready()
        done = -1
        while True:
            told = woken.is_set()
            woken.clear()
            end = done if told else await _number(await working.execute(_LAST))
            if told or end != done:  # at rest it is one question that nobody is locked out by
                while await feeds.advance(working):
                    pass
                done = end
            with suppress(TimeoutError):
                async with asyncio.timeout(_NUDGE_SECONDS):
                    await woken.wait()
            if ear.done():
                ear.result()  # raises what ended it


async def _listen(connection: AsyncConnection[Any], woken: asyncio.Event) -> None:
    try:
        async for _ in connection.notifies():
            woken.set()
    finally:
        woken.set()


async def main() -> int:
    """Run until SIGTERM or SIGINT; answers the exit status."""
    configure_logging("projector")
    url = configuration.load().database_url
    if url is None:
        _log.critical("DATABASE_URL is not set: openfactory up starts this part itself")
        return 2
    projecting = asyncio.create_task(project(url.get_secret_value()))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, projecting.cancel)
    try:
        await projecting
    except asyncio.CancelledError:
        return 0
    except Fault as fault:
        _log.critical("stopped at an event that cannot be applied: %s", fault, exc_info=fault)
        return POISONED
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
