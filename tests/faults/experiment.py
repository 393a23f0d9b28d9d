"""One experiment: three operations under way, one fault, and then the invariants."""

import asyncio
import random
import time
from pathlib import Path

from domain.model import Value
from tests.faults.factory import Laboratory
from tests.faults.kinds import Kind
from tests.faults.operations import Client, Outcome, build, perform, prepared, suite_run, vm
from tests.invariants import Violation, Witness, violations


class Run(Value):
    """What became of one operation under one fault. `recovery` is in seconds from the fault's end to the operation's.

    `did` says what the fault was exactly; `failures` what should not have been.
    """

    kind: str
    seed: int
    operation: str
    did: str
    ended: str
    again: int
    recovery: float
    lost: int
    duplicated: int
    orphans: int
    failures: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether everything held."""
        return not self.failures


class Experiments:
    """Experiments on one factory, one after the other. What machines and runs are made of is made first."""

    def __init__(self, lab: Laboratory) -> None:
        self._lab = lab
        self._witness = Witness(lab.home)
        self._ground: tuple[str, str] | None = None

    async def prepare(self) -> None:
        """Make what the experiments need."""
        async with self._lab.stack.session() as session:
            self._ground = await prepared(Client(session, "ground"))

    async def run(self, kind: Kind, seed: int) -> tuple[Run, ...]:
        """Do one experiment."""
        assert self._ground is not None
        build_id, suite_id = self._ground
        chance = random.Random(f"{kind.name}/{seed}")
        key = f"{abs(hash_of(kind.name)):x}-{seed}-{int(time.time())}"
        outcomes = [Outcome("build"), Outcome("vm"), Outcome("suite run")]
        async with self._lab.stack.session() as session:
            client = Client(session, key)
            works = [
                perform(lambda: build(client, outcomes[0]), outcomes[0]),
                perform(lambda: vm(client, outcomes[1], build_id), outcomes[1]),
                perform(lambda: suite_run(client, outcomes[2], suite_id), outcomes[2]),
            ]
            tasks = [asyncio.create_task(work) for work in works]
            did = await kind.inflict(self._lab, chance)
            lifted = time.monotonic()
            await asyncio.gather(*tasks)
        await self._lab.ready()
        found = await violations(self._witness, [job for o in outcomes for job in o.acknowledged])
        return tuple(_run_of(kind, seed, did, lifted, outcome, found) for outcome in outcomes)


def _run_of(kind: Kind, seed: int, did: str, lifted: float, outcome: Outcome, found: list[Violation]) -> Run:
    about = [v for v in found if not v.about or v.about in outcome.acknowledged]
    return Run(
        kind=kind.name,
        seed=seed,
        operation=outcome.operation,
        did=did,
        ended=outcome.ended,
        again=outcome.again,
        recovery=round(max(0.0, outcome.ended_at - lifted), 2),
        lost=sum(v.kind == "lost" for v in about),
        duplicated=sum(v.kind == "duplicated" for v in about),
        orphans=sum(v.kind == "orphan" for v in about),
        failures=(*outcome.wrong, *(f"{v.kind}: {v.what}" for v in about)),
    )


def hash_of(text: str) -> int:
    """A number of a text, the same in every process."""
    return int.from_bytes(text.encode(), "big") % 0xFFFF_FFFB


def append(path: Path, runs: tuple[Run, ...]) -> None:
    """Keep results, a line each, so that portions add up."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{run.model_dump_json()}\n" for run in runs)


def read(path: Path) -> list[Run]:
    """Read what was kept."""
    if not path.exists():
        return []
    return [Run.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
