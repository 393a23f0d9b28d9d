"""Rebuilds that meet each other, and what a killed one leaves."""

import asyncio
import signal
import subprocess
import sys
import threading

import psycopg
import pytest

from event_store import rebuild
from event_store.catalog import PROJECTIONS
from event_store.rebuild import rebuild_projections
from event_store.schema import Migrated, migrate
from tests.integration.conftest import FRONT_PASSWORD, OWNER_PASSWORD

pytestmark = pytest.mark.integration

SECONDS = 30.0


def beside(database: Migrated) -> list[str]:
    """The tables that a rebuild has made and not put in their places."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'read_model' AND tablename LIKE '%rebuilt'"
    with psycopg.connect(database.owner_url) as connection:
        return [row[0] for row in connection.execute(query).fetchall()]


def killed_rebuild(database: Migrated) -> None:
    """Rebuild in a process that dies with kill -9 when its first table is filled."""
    dies = (
        "import os, signal, sys; from event_store import rebuild; "
        "rebuild._catch_up_and_swap = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "
        "rebuild.rebuild_projections(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", dies, database.owner_url], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("by", ["a rebuild of another", "a start"])
def test_the_table_of_a_killed_rebuild_goes_with_the_next(database: Migrated, postgres_url: str, by: str) -> None:
    killed_rebuild(database)
    [left] = beside(database)
    if by == "a start":
        with psycopg.connect(database.owner_url, autocommit=True) as running:
            running.execute("SELECT pg_advisory_lock(%s)", (rebuild._REBUILD_LOCK,))  # pyright: ignore[reportPrivateUsage]
            migrate(postgres_url, OWNER_PASSWORD, FRONT_PASSWORD)
            assert beside(database) == [left]  # it could be that one's
        assert migrate(postgres_url, OWNER_PASSWORD, FRONT_PASSWORD).rebuilt == ()
    else:
        rebuild_projections(database.owner_url, [p for p in PROJECTIONS if not left.startswith(p.name)][:1])
    assert beside(database) == []


async def test_a_rebuild_says_that_it_waits_for_another(database: Migrated) -> None:
    waits = threading.Event()
    with psycopg.connect(database.owner_url, autocommit=True) as running:
        running.execute("SELECT pg_advisory_lock(%s)", (rebuild._REBUILD_LOCK,))  # pyright: ignore[reportPrivateUsage]
        rebuilding = asyncio.create_task(
            asyncio.to_thread(rebuild_projections, database.owner_url, say_that_another_runs=waits.set)
        )
        assert await asyncio.to_thread(waits.wait, SECONDS)
        assert not rebuilding.done()
    await asyncio.wait_for(rebuilding, SECONDS)
    waits.clear()
    await asyncio.to_thread(rebuild_projections, database.owner_url, say_that_another_runs=waits.set)
    assert not waits.is_set()
