"""One experiment: three operations under way, one fault, and then the invariants."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import Awaitable
from pathlib import Path

from domain.model import Value
from tests.faults.factory import Laboratory
from tests.faults.kinds import Kind
from tests.faults.operations import OPERATIONS, Client, Name, Outcome, build, perform, prepared, suite_run, vm
from tests.guests import tiny_guest
from tests.invariants import Violation, Witness, violations

_SIDE_BY_SIDE = 2
"""So many of each operation under each fault."""


class Run(Value):
    """What became of one operation under one fault. `recovery` is in seconds from the fault's end to the operation's.

    `did` says what the fault was exactly, and nothing if it did not come to it; `failures` what should not have been.
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

    def __init__(self, lab: Laboratory, operations: tuple[Name, ...] = OPERATIONS) -> None:
        self._lab = lab
        self._operations = operations
        self._witness = Witness(lab.home)
        self._image: dict[str, str] = {}
        self._suite = ""

    async def prepare(self) -> None:
        """Make what the experiments need: a build with a suite bound to it, or an uploaded image."""
        if self._lab.real:
            image = await tiny_guest()
            uploaded = await asyncio.to_thread(
                self._lab.stack.run, "image", "upload", str(image), "--json", timeout=300
            )
            self._image = {"image_id": json.loads(uploaded.stdout)["image_id"]}
            return
        async with self._lab.stack.session() as session:
            build_id, self._suite = await prepared(Client(session, "ground", self._lab.patience))
            self._image = {"build_id": build_id}

    async def run(self, kind: Kind, seed: int) -> tuple[Run, ...]:
        """Do one experiment."""
        chance = random.Random(f"{kind.name}/{seed}")
        outcomes = [Outcome(name) for name in self._operations for _ in range(1 if self._lab.real else _SIDE_BY_SIDE)]
        async with self._lab.stack.session() as session:
            tasks: list[asyncio.Task[Outcome]] = []
            for outcome in outcomes:
                client = Client(session, secrets.token_hex(5), self._lab.patience)
                tasks.append(asyncio.create_task(perform(self._work(client, outcome), outcome)))
            did = await kind.inflict(self._lab, chance)
            lifted = time.monotonic()
            await asyncio.gather(*tasks)
        await self._lab.ready()
        found = await violations(self._witness, [job for o in outcomes for job in o.acknowledged])
        return tuple(_run_of(kind, seed, did, lifted, outcome, found) for outcome in outcomes)

    def _work(self, client: Client, outcome: Outcome) -> Awaitable[None]:
        match outcome.operation:
            case "build":
                return build(client, outcome)
            case "vm":
                return vm(client, outcome, self._image)
            case "suite run":
                return suite_run(client, outcome, self._suite)


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


def append(path: Path, runs: tuple[Run, ...]) -> None:
    """Keep results, a line each, so that portions add up."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{run.model_dump_json()}\n" for run in runs)


def read(path: Path) -> list[Run]:
    """Read what was kept."""
    if not path.exists():
        return []
    return [Run.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
