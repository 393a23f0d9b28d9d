"""The first page of many VMs against that of few, through the front's role and its row-level security."""

import time
from pathlib import Path
from uuid import UUID, uuid4

import psycopg

from benchmarks.measure import Line, median_ratio
from cli.client.session import FactorySession
from cli.stack.state import read_state
from domain.vm import commands as c
from domain.vm.decide import decide
from domain.vm.state import VmState, fold
from event_store.front import FrontDatabase
from event_store.models.vms import VMS
from tests.e2e.stack import Stack
from tests.machines import NOON, request

FEW, MANY = 10, 1000
_ROUNDS = 200


async def first_page(stack: Stack, _: FactorySession) -> list[Line]:
    """Measure on the factory's database, with organizations of their own."""
    home = stack.home
    few, many = f"bench-{uuid4()}", f"bench-{uuid4()}"
    with psycopg.connect(variable(home, "projector", "DATABASE_URL"), autocommit=True) as owner:
        for org, count in ((few, FEW), (many, MANY)):
            with owner.cursor() as cursor:
                cursor.executemany(VMS.upsert(), [VMS.row(_vm(org)) for _ in range(count)])
        owner.execute("ANALYZE read_model.vms")
    async with FrontDatabase(variable(home, "gateway", "OPENFACTORY_FRONT_DATABASE_URL")) as front:
        pairs = [(await _seconds(front, many), await _seconds(front, few)) for _ in range(_ROUNDS)]
    what = f"first page of {MANY} VMs, against that of {FEW}"
    return [median_ratio(what, pairs[10:], "1.0", f"{FEW} rows each")]


async def _seconds(front: FrontDatabase, org: str) -> float:
    started = time.perf_counter()
    async with front.org(org) as reads:
        page = await reads.vms.page(limit=FEW)
    if len(page.vms) != FEW:
        raise RuntimeError(f"{len(page.vms)} machines on the page")
    return time.perf_counter() - started


def _vm(org: str) -> VmState:
    vm_id = str(uuid4())
    history = decide(None, c.RequestVm(request=request(str(UUID(vm_id)), org_id=org, name="bench")), now=NOON)
    state = fold(history)
    if state is None:
        raise RuntimeError("a request makes a machine")
    return state


def variable(home: Path, part: str, name: str) -> str:
    """Read one variable of a part's environment."""
    return environment(home, part)[name]


def environment(home: Path, part: str) -> dict[str, str]:
    """Read a part's environment, as its user alone may (proc(5))."""
    state = read_state(home / "run" / "state.json")
    pid = next(p.pid for p in (state.parts if state else ()) if p.name == part)
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return {name: value for name, found, value in (pair.partition("=") for pair in pairs) if found}
