"""The least that a durable command can be: a workflow with one local activity with one insert. The worker's process."""

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import psycopg

QUEUE = "bench"
_LIMIT = timedelta(seconds=10)


@workflow.defn
class OneInsert:
    """Inserts its argument."""

    @workflow.run
    async def run(self, key: str) -> None:
        """Do it."""
        await workflow.execute_local_activity("insert", key, start_to_close_timeout=_LIMIT)


class Database:
    """One connection, as the core worker keeps one."""

    def __init__(self, connection: "psycopg.AsyncConnection[tuple[object, ...]]") -> None:
        self._connection = connection

    @activity.defn
    async def insert(self, key: str) -> None:
        """Insert one row."""
        await self._connection.execute("INSERT INTO event_log.bench VALUES (%s)", (key,))


async def main(address: str, url: str) -> None:
    """Work until terminated."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        database = Database(connection)
        client = await Client.connect(address)
        await Worker(client, task_queue=QUEUE, workflows=[OneInsert], activities=[database.insert]).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
