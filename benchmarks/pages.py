"""A page of builds through the gateway, with few and with very many builds, against a tool that does nothing."""

import time
from uuid import uuid4

import psycopg

from benchmarks.measure import Line, median_ratio
from benchmarks.vm_pages import variable
from cli.client.session import FactorySession
from domain.build.commands import RequestBuild
from domain.build.decide import decide
from domain.build.inputs import BuildRequest
from domain.build.state import BuildState, fold
from event_store.front import FrontDatabase
from event_store.models.builds import BUILDS
from tests.e2e.stack import Stack
from tests.machines import NOON

FEW, MANY = 100, 100_000
_ORG = "local"
_ROUNDS = 60


async def list_builds(stack: Stack, session: FactorySession) -> list[Line]:
    """Measure with 100 builds, then with 100,000: each page between a call of `whoami` and the bare question."""
    lines: list[Line] = []
    there = 0
    flat: list[list[float]] = []
    async with FrontDatabase(variable(stack.home, "gateway", "OPENFACTORY_FRONT_DATABASE_URL")) as front:
        for count in (FEW, MANY):
            _insert(stack, count - there)
            there = count
            pairs = [await _pair(session, front) for _ in range(_ROUNDS)][5:]
            flat.append([ours for ours, _ in pairs])
            what = f"list_builds with {count:,} builds, against whoami and the bare SQL"
            lines.append(median_ratio(what, pairs, "≤ 1.3"))
    return [*lines, median_ratio("the same page, of many against of few", list(zip(*reversed(flat), strict=True)), "1")]


async def _pair(session: FactorySession, front: FrontDatabase) -> tuple[float, float]:
    started = time.perf_counter()
    page = await session.call("list_builds", {"limit": 20})
    between = time.perf_counter()
    await session.call("whoami", {})
    async with front.org(_ORG) as reads:
        bare = await reads.builds.page(limit=20)
    ended = time.perf_counter()
    if len(page["builds"]) != len(bare.builds):
        raise RuntimeError(f"{len(page['builds'])} builds on the page")
    return between - started, ended - between


def _insert(stack: Stack, count: int) -> None:
    rows = (BUILDS.row(_build()) for _ in range(count))
    with psycopg.connect(variable(stack.home, "projector", "DATABASE_URL")) as owner:
        with owner.cursor() as cursor:
            cursor.executemany(BUILDS.upsert(), rows)
        owner.execute("ANALYZE read_model.builds")


def _build() -> BuildState:
    request = BuildRequest(
        build_id=str(uuid4()),
        org_id=_ORG,
        requested_by="bench",
        recipe={"name": "bench", "baseImage": "debian-bookworm", "packages": ["nginx-light"]},
    )
    state = fold(decide(None, RequestBuild(request=request), now=NOON))
    if state is None:
        raise RuntimeError("a request makes a build")
    return state
