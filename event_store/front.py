"""The read side as the front sees it: one organization's rows at a time, and waiting for a version."""

import asyncio
import logging
import select
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, Self

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import Fault
from event_store.connections import ALIVE, connect, transaction
from event_store.names import ORG_SETTING, VIEWED_CHANNEL
from event_store.notices import Notices, Waiter
from event_store.org_reads import Model, OrgReads

_log = logging.getLogger(__name__)

_POOL = 8
_POOL_SECONDS = 5.0
_FIRST_LOOK_SECONDS = 0.05
_RECHECK_SECONDS = 1.0
_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0
_READ_ONLY = "-c default_transaction_read_only=on -c statement_timeout=10s -c idle_in_transaction_session_timeout=30s"


class FrontDatabase:
    """Connections of the front role: `async with FrontDatabase(url) as db`. Made without connecting.

    Every method raises `Fault` (`database.unavailable`) when the database does not answer.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] | None = None
        self._ear: asyncio.Task[None] | None = None
        self._endings = set[asyncio.Task[None]]()
        self._notices = Notices()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Begin to connect; a database that is not there yet is waited for by each question."""
        self._pool = AsyncConnectionPool(
            self._url,
            connection_class=AsyncConnection[DictRow],
            kwargs={
                **ALIVE,
                "autocommit": True,
                "row_factory": dict_row,
                "application_name": "openfactory front",
                "options": _READ_ONLY,
            },
            min_size=1,
            max_size=_POOL,
            timeout=_POOL_SECONDS,
            check=_still_open,
            open=False,
        )
        await self._pool.open(wait=False)
        self._ear = asyncio.create_task(self._keep_listening())

    async def close(self) -> None:
        """Close every connection; who waits is answered by its time limit."""
        if self._ear is not None:
            self._ear.cancel()
            with suppress(asyncio.CancelledError):
                await self._ear
        if self._endings:
            _, late = await asyncio.wait(self._endings, timeout=_POOL_SECONDS)
            for ending in late:
                ending.cancel()
        if self._pool is not None:
            await self._pool.close()

    @asynccontextmanager
    async def org(self, org_id: str) -> "AsyncGenerator[OrgReads]":
        """Open one organization's view: questions in one read-only transaction, bound by row-level security.

        Nobody waits for its beginning alone, nor for its end.
        """
        with _typed_errors():
            async with AsyncExitStack() as entered:
                connection = await entered.enter_async_context(self._connection())
                await entered.enter_async_context(transaction(connection))
                reading = entered.pop_all()
            try:
                await connection.execute("SELECT set_config(%s, %s, true)", (ORG_SETTING, org_id))
                yield OrgReads(connection)
            except BaseException as error:
                self._end(reading, error)
                raise
            self._end(reading)

    def _end(self, reading: AsyncExitStack, error: BaseException | None = None) -> None:
        """End a transaction beside whoever read in it, who cannot cancel this half way."""
        ending = asyncio.create_task(_ended(reading, error))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def ping(self) -> None:
        """Return if the database answers."""
        with _typed_errors():
            async with self._connection() as connection:
                await connection.execute("SELECT 1")

    async def wait_for(self, org_id: str, model: Model, key: str, version: int, timeout: float) -> bool:  # noqa: ASYNC109 - running out of time is an answer here
        """Wait until the organization's aggregate is seen at `version` or later; false after `timeout` seconds.

        The projector's notice ends the wait, also one that came before. The row is looked at when there was none for a
        moment, and then each second in case it was lost.
        """
        pause = min(_FIRST_LOOK_SECONDS, timeout / 2)
        with self._notices.waiter(org_id, key, version) as waiter, suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not waiter.seen:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await waiter.woken.wait()
                    pause = _RECHECK_SECONDS
                    if not waiter.seen:
                        await self._look(model, key, waiter)
        return waiter.seen

    async def _look(self, model: Model, key: str, waiter: Waiter) -> None:
        waiter.woken.clear()
        async with self.org(waiter.org_id) as reads:
            waiter.seen |= await reads.of(model).version(key) >= waiter.version

    def _connection(self) -> AbstractAsyncContextManager[AsyncConnection[DictRow]]:
        if self._pool is None:
            raise RuntimeError("the database is used before it is opened")
        return self._pool.connection()

    async def _keep_listening(self) -> None:
        wait = _FIRST_BACKOFF
        while True:
            try:
                async with await connect(self._url, "front (listening)") as connection:
                    await connection.execute(SQL("LISTEN {}").format(Identifier(VIEWED_CHANNEL)))
                    self._notices.wake_all()  # what was noticed meanwhile is lost
                    wait = _FIRST_BACKOFF
                    async for notice in connection.notifies():
                        self._notices.hear(notice.payload)
            except psycopg.Error as error:
                _log.warning("lost the database's notices, listening again in %.1f s: %s", wait, error)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_BACKOFF)


async def _still_open(connection: AsyncConnection[Any]) -> None:
    """Ask the server only when there is something to read that nobody asked for: that is how it hangs up.

    A connection that is half open is given up by `ALIVE`.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(connection)


async def _ended(reading: AsyncExitStack, error: BaseException | None) -> None:
    """End a transaction that was only read in; the pool makes a new connection when this one is lost."""
    try:
        await reading.__aexit__(type(error) if error else None, error, None)
    except psycopg.Error as failure:
        _log.info("a reading did not end well: %s", failure)


@contextmanager
def _typed_errors() -> Generator[None]:
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
        raise Fault.because(
            "database.unavailable",
            f"the database does not answer: {error}",
            next="Try again in a moment; `openfactory status` tells which part is down.",
        ) from error
