"""How the read side connects: quick to notice a server that is gone."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus

ALIVE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}
"""A half-open connection is given up after about 20 s (tcp(7)), where the default is two hours."""


async def connect(url: str, name: str) -> AsyncConnection[Any]:
    """Open a connection in autocommit mode, shown under `name` in pg_stat_activity."""
    return await AsyncConnection.connect(url, autocommit=True, application_name=f"openfactory {name}", **ALIVE)


@asynccontextmanager
async def transaction(connection: AsyncConnection[Any]) -> AsyncGenerator[None]:
    """Open a transaction in a pipeline, on a connection in autocommit mode.

    Statements are sent at once and their answers are not waited for: they are read at the next fetch and at the end.
    psycopg's own `transaction` waits for its beginning and its end, too. What fails is raised by a later statement, by
    the next fetch, or at the end.
    """
    try:
        async with connection.pipeline():
            await connection.execute("BEGIN")
            yield
            await connection.execute("COMMIT")
    except BaseException:
        with suppress(psycopg.Error):  # of a connection that is lost
            if connection.info.transaction_status == TransactionStatus.IDLE:
                # The pipeline's end was cancelled, too, so that psycopg does not know what is open.
                await connection.close()
            else:
                await connection.rollback()
        raise
