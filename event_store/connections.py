"""How the read side connects: quick to notice a server that is gone."""

from typing import Any

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
