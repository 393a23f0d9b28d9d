"""How the read side connects: quick to notice a server that is gone."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection

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
    """Open a transaction on a connection in autocommit mode, in a pipeline.

    Statements go out together with the next one whose answer is fetched, the first with the transaction's beginning
    and the last with its end, which psycopg's own `transaction` waits for each on its own. What fails is raised at the
    next fetch, or here.
    """
    try:
        async with connection.pipeline():
            await connection.execute("BEGIN")
            yield
            await connection.execute("COMMIT")
    except BaseException:
        with suppress(psycopg.Error):  # of a connection that is lost
            await connection.rollback()
        raise
