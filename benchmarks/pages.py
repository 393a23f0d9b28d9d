"""A page of builds through the gateway, with few and with very many builds, against a tool that does nothing."""

import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
from psycopg import AsyncConnection

from benchmarks.completed import completed_build
from benchmarks.measure import Line, median_ratio
from benchmarks.vm_pages import variable
from cli.client.session import FactorySession
from domain.build.state import BuildState, fold
from event_store.models.builds import BUILDS
from event_store.names import ORG_SETTING
from tests.e2e.stack import Stack

FEW, MANY = 100, 100_000
_ORG = "local"
_ROUNDS = 60
_BOUND = "SELECT set_config(%s, %s, true)"
_BARE = """
    SELECT summary::text FROM read_model.builds WHERE status <> 'deleted'
    ORDER BY created_at DESC, build_id DESC LIMIT 21
"""


async def list_builds(stack: Stack, session: FactorySession) -> list[Line]:
    """Measure with 100 builds, then with 100,000: each page against a call of `whoami` and the bare question."""
    lines: list[Line] = []
    there = 0
    flat: list[list[float]] = []
    url = variable(stack.home, "gateway", "OPENFACTORY_FRONT_DATABASE_URL")
    async with await AsyncConnection.connect(url, autocommit=True) as front:
        for count in (FEW, MANY):
            _insert(stack, count - there)
            there = count
            pairs = [await _pair(session, front) for _ in range(_ROUNDS)][5:]
            flat.append([ours for ours, _ in pairs])
            what = f"list_builds with {count:,} builds, against whoami and the bare SQL"
            lines.append(median_ratio(what, pairs, "≤ 1.3"))
    return [*lines, median_ratio("the same page, of many against of few", list(zip(*reversed(flat), strict=True)), "1")]


async def _pair(session: FactorySession, front: AsyncConnection) -> tuple[float, float]:
    started = time.perf_counter()
    page = await session.call("list_builds", {"limit": 20})
    between = time.perf_counter()
    await session.call("whoami", {})
    async with front.transaction():
        await front.execute(_BOUND, (ORG_SETTING, _ORG))
        bare = await (await front.execute(_BARE)).fetchall()
    ended = time.perf_counter()
    if len(page["builds"]) != 20 or len(bare) != 21:
        raise RuntimeError(f"{len(page['builds'])} builds on the page, {len(bare)} rows")
    return between - started, ended - between


def _insert(stack: Stack, count: int) -> None:
    with psycopg.connect(variable(stack.home, "projector", "DATABASE_URL")) as owner:
        with owner.cursor() as cursor:
            cursor.executemany(BUILDS.upsert(), _rows(count))
        owner.execute("ANALYZE read_model.builds")


def _rows(count: int) -> Iterator[tuple[object, ...]]:
    """Make rows of completed builds, all of one; only their ids differ."""
    first = str(uuid4())
    row = BUILDS.row(_build(first))
    for _ in range(count):
        other = str(uuid4())
        yield tuple(value.replace(first, other) if isinstance(value, str) else value for value in row)


def _build(build_id: str) -> BuildState:
    state = fold(tuple(completed_build(UUID(build_id), org=_ORG)))
    if state is None:
        raise RuntimeError("events make a build")
    return state
