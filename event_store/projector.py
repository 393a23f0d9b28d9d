"""The projector: a process that keeps the read models at the end of the log.

    python -m event_store.projector

Each batch of events moves the rows and the projection's position in one transaction, so an event is
applied exactly once however often the process is killed, and a second projector only waits. It is woken
by the log's NOTIFY, and by a timer should one be lost. A lost database is waited for. An event that
cannot be applied is never skipped: the process logs it and ends with status 3.
"""

import asyncio
import logging
import signal
import sys
from collections import OrderedDict
from contextlib import AsyncExitStack, suppress
from typing import Any, Generic, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from domain.errors import Fault
from event_store.catalog import PROJECTIONS
from event_store.connections import connect
from event_store.mapper import StreamEvent, decode_event, others
from event_store.names import APPENDED_CHANNEL, LOG_SCHEMA, LOG_TABLE, PROJECTIONS_TABLE, VIEWED_CHANNEL
from event_store.projection import Projection, Versioned
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
    """Moves one read model forward. Remembers the newest states, so that most batches read no row."""

    def __init__(self, projection: Projection[S]) -> None:
        self._projection = projection
        self._states: OrderedDict[str, S] = OrderedDict()
        self._position = -1

    async def advance(self, connection: AsyncConnection[Any]) -> int:
        """Apply the next batch; tells how many events it had.

        Raises:
            Fault: `log.unreadable_event` or `projection.gap`; nothing is changed then.

        """
        try:
            async with connection.transaction():
                return await self._advance(connection)
        except BaseException:
            self._states.clear()  # they may be ahead of the rows now
            self._position = -1
            raise

    async def _advance(self, connection: AsyncConnection[Any]) -> int:
        position = await self._lock_position(connection)
        if position != self._position:  # another projector or a rebuild was here
            self._states.clear()
        end, batch = await _read_batch(connection, position, self._projection.events)
        if end == position:
            self._position = position
            return 0
        changed = await self._fold(connection, [placed for _, placed in batch])
        await self._write(connection, changed, end)
        self._position = end
        return len(batch)

    async def _lock_position(self, connection: AsyncConnection[Any]) -> int:
        query = SQL("SELECT position FROM {} WHERE name = %s FOR UPDATE").format(_PROJECTIONS)
        row = await (await connection.execute(query, (self._projection.name,))).fetchone()
        if row is None:
            raise Fault.because("projection.unknown", f"{self._projection.name} is not migrated", next="Run: migrate")
        return int(row[0])

    async def _fold(self, connection: AsyncConnection[Any], events: list[StreamEvent]) -> dict[str, S]:
        await self._recall(connection, {str(e.stream) for e in events})
        changed: dict[str, S] = {}
        for placed in events:
            key = str(placed.stream)
            changed[key] = self._states[key] = self._projection.apply(self._states.get(key), placed)
            self._states.move_to_end(key)
        while len(self._states) > _REMEMBERED:
            self._states.popitem(last=False)
        return changed

    async def _recall(self, connection: AsyncConnection[Any], keys: set[str]) -> None:
        unknown = [key for key in keys if key not in self._states]
        if unknown:
            found = await connection.execute(self._projection.select_states(), (unknown,))
            self._states.update({key: self._projection.load(state) for key, state in await found.fetchall()})

    async def _write(self, connection: AsyncConnection[Any], changed: dict[str, S], position: int) -> None:
        async with connection.pipeline(), connection.cursor() as cursor:
            if changed:
                await cursor.executemany(self._projection.upsert(), [*map(self._projection.row, changed.values())])
                await cursor.executemany(
                    "SELECT pg_notify(%s, %s)",
                    [(VIEWED_CHANNEL, f"{key} {state.version}") for key, state in changed.items()],
                )
            await cursor.execute(
                SQL("UPDATE {} SET position = %s WHERE name = %s").format(_PROJECTIONS),
                (position, self._projection.name),
            )


_PROJECTIONS = Identifier(LOG_SCHEMA, PROJECTIONS_TABLE)
_LAST = SQL("SELECT max(notification_id) FROM {}").format(Identifier(LOG_SCHEMA, LOG_TABLE))
_NEXT = SQL(
    "SELECT notification_id, originator_id, originator_version, topic, state FROM {} "
    "WHERE notification_id > %s AND notification_id <= %s AND topic <> ALL(%s) ORDER BY notification_id LIMIT %s"
).format(Identifier(LOG_SCHEMA, LOG_TABLE))


async def _read_batch(
    connection: AsyncConnection[Any], position: int, names: frozenset[str]
) -> tuple[int, list[tuple[int, StreamEvent]]]:
    """Read on in the log; answers up to where it was read, and the events of these names on the way.

    An event of an unknown name is not passed over: reading it fails.

    Appends hold a table lock, so no lower position can turn up later.
    """
    end = max(position, await _end_of_log(connection))
    if end == position:
        return position, []
    found = await connection.execute(_NEXT, (position, end, others(names), _BATCH), binary=True)
    batch = [(row[0], decode_event(*row[1:])) for row in await found.fetchall()]
    return (batch[-1][0] if len(batch) == _BATCH else end), batch


async def _end_of_log(connection: AsyncConnection[Any]) -> int:
    last = await (await connection.execute(_LAST)).fetchone()
    return 0 if last is None or last[0] is None else int(last[0])


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
        await listening.execute(SQL("LISTEN {}").format(Identifier(APPENDED_CHANNEL)))
        woken = asyncio.Event()
        ear = asyncio.create_task(_listen(listening, woken))
        stack.callback(ear.cancel)
        feeds = [Feed(projection) for projection in PROJECTIONS]
        _log.info("connected")
        ready()
        done = -1
        while True:
            woken.clear()
            end = await _end_of_log(working)
            if end != done:  # at rest it is one question that nobody is locked out by
                for feed in feeds:
                    while await feed.advance(working) == _BATCH:
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
