"""From a commit to the read model, and all read models made anew from 100,000 events."""

import asyncio
import math
import statistics
import time
from uuid import UUID, uuid4

import psycopg
from psycopg.sql import SQL, Identifier

from benchmarks.completed import completed_build
from benchmarks.measure import Figure, Line, median_ratio
from benchmarks.vm_pages import variable
from cli.client.session import FactorySession
from domain.build.events import BuildEvent, BuildRequested
from event_store.log import EventLog
from event_store.mapper import Cause
from event_store.names import LOG_SCHEMA, LOG_TABLE, VIEWED_CHANNEL
from event_store.rebuild import rebuild_projections
from tests.e2e.stack import Stack
from tests.machines import NOON

EVENTS = 100_000
_COMMITS = 300
_WARMING_UP = 20
_PATIENCE = 5.0
"""How many seconds a commit is waited for. One that is not seen by then counts as so many."""
_REBUILDS = 3
_ORG = "bench"


async def commit_to_view(stack: Stack, _: FactorySession) -> list[Line]:
    """Append single events and wait for the projector's own notice of each."""
    seconds = await asyncio.to_thread(_lags, variable(stack.home, "projector", "DATABASE_URL"))
    ranked = sorted(seconds)
    p99 = ranked[math.ceil(len(ranked) * 0.99) - 1]
    late = sum(taken >= _PATIENCE for taken in ranked)
    note = f"p50 {statistics.median(ranked) * 1e3:.1f} ms, of {len(ranked)} commits"
    if late:
        note += f"; {late} of them not seen within {_PATIENCE:g} s, and counted as that"
    return [Figure("commit to read model, p99", p99 * 1e3, "ms", "≤ 15", note)]


async def rebuild(stack: Stack, _: FactorySession) -> list[Line]:
    """Fill the log up to 100,000 events and make all read models anew, beside reading the log once."""
    url = variable(stack.home, "projector", "DATABASE_URL")
    count = await asyncio.to_thread(_fill, url)
    pairs = [await asyncio.to_thread(_rebuilt, url) for _ in range(_REBUILDS)]
    what = f"rebuild of all read models from {count:,} events, against reading them once"
    return [median_ratio(what, pairs, "≤ 3 s", "the reference decodes nothing")]


def _lags(url: str) -> list[float]:
    seconds: list[float] = []
    with EventLog(url) as log, psycopg.connect(url, autocommit=True) as ear:
        ear.execute(SQL("LISTEN {}").format(Identifier(VIEWED_CHANNEL)))
        for _ in range(_COMMITS):
            build = uuid4()
            _append(log, [_requested(build)])
            began = time.perf_counter()
            seen = any(notice.payload.startswith(str(build)) for notice in ear.notifies(timeout=_PATIENCE))
            seconds.append(min(time.perf_counter() - began, _PATIENCE) if seen else _PATIENCE)
    return seconds[_WARMING_UP:]


def _fill(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as owner:
        row = owner.execute(SQL("SELECT count(*) FROM {}").format(Identifier(LOG_SCHEMA, LOG_TABLE))).fetchone()
        there = int(row[0]) if row else 0
    with EventLog(url) as log:
        while there < EVENTS:
            events = list(completed_build(uuid4(), org=_ORG))
            _append(log, events)
            there += len(events)
    return there


def _rebuilt(url: str) -> tuple[float, float]:
    began = time.perf_counter()
    rebuild_projections(url)
    between = time.perf_counter()
    with psycopg.connect(url) as owner, owner.cursor(name="bench", binary=True) as cursor:
        cursor.itersize = 2000
        cursor.execute(SQL("SELECT * FROM {}").format(Identifier(LOG_SCHEMA, LOG_TABLE)))
        for _ in cursor:
            pass
    return between - began, time.perf_counter() - between


def _append(log: EventLog, events: list[BuildEvent]) -> None:
    cause = Cause(run_id=str(uuid4()), activity_id="1")
    log.append(UUID(events[0].build_id), cause, lambda _: events)


def _requested(build_id: UUID) -> BuildRequested:
    return BuildRequested(
        build_id=str(build_id),
        org_id=_ORG,
        at=NOON,
        requested_by="bench",
        recipe={"name": "bench", "baseImage": "debian-bookworm", "packages": ["nginx-light", "less"]},
        recipe_digest="r" * 64,
        input_digest="i" * 64,
    )
