"""Connections of the admission role."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self, cast

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import Fault
from event_store.connections import ALIVE

_POOL = 4
_POOL_SECONDS = 5.0


class AdmissionDatabase:
    """`async with AdmissionDatabase(url) as database`. Made without connecting."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] | None = None

    async def __aenter__(self) -> Self:
        """Begin to connect; a database that is not there yet is waited for by each question."""
        self._pool = AsyncConnectionPool(
            self._url,
            connection_class=AsyncConnection[DictRow],
            kwargs={
                **ALIVE,
                "row_factory": dict_row,
                "application_name": "openfactory admission",
                "options": "-c statement_timeout=10s",
            },
            min_size=0,
            max_size=_POOL,
            timeout=_POOL_SECONDS,
            check=cast("Any", AsyncConnectionPool.check_connection),  # typed for rows as tuples, reads none
            open=False,
        )
        await self._pool.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection[DictRow]]:
        """Open a transaction.

        Raises:
            Fault: `database.unavailable`.

        """
        if self._pool is None:
            raise RuntimeError("the database is used before it is opened")
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Fault.because(
                "database.unavailable", f"the database does not answer: {error}", next="Try again in a moment."
            ) from error
