"""One experiment: three operations under way, one fault, and then the invariants."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path

from cli.client.session import FactorySession
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
        self._told: set[Violation] = set()

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

    async def run(self, *kinds: Kind, seed: int) -> tuple[Run, ...]:
        """Inflict a fault while operations are under way.

        Several are inflicted one after the other, each under operations of its own but for builds: a build that is
        still under way goes on under the next, because a real one takes minutes.
        """
        strikes: list[Strike] = []
        under_way: list[_Doing] = []
        async with self._lab.stack.session() as session:
            for kind in kinds:
                kept = [doing for doing in under_way if doing.outcome.operation == "build" and not doing.task.done()]
                under_way = kept + [self._begun(session, name) for name in self._names() if name != "build" or not kept]
                did = await kind.inflict(self._lab, random.Random(f"{kind.name}/{seed}"))
                strikes.append(Strike(kind, did, time.monotonic(), [doing.outcome for doing in under_way]))
                last = kind is kinds[-1]
                await asyncio.gather(*(d.task for d in under_way if last or d.outcome.operation != "build"))
        await self._lab.ready()
        acknowledged = [job for strike in strikes for outcome in strike.outcomes for job in outcome.acknowledged]
        found = await violations(self._witness, acknowledged)
        everyones = self._everyones(found, acknowledged)
        return tuple(
            run_of(strike, seed, outcome, found, everyones) for strike in strikes for outcome in strike.outcomes
        )

    def _everyones(self, found: list[Violation], acknowledged: list[str]) -> set[Violation]:
        """What is about no operation of this experiment counts against all of it, once: later ones find it again."""
        others = {v for v in found if v.about and v.about not in acknowledged} - self._told
        self._told |= others
        return others

    def _names(self) -> list[Name]:
        return [name for name in self._operations for _ in range(1 if self._lab.real else _SIDE_BY_SIDE)]

    def _begun(self, session: FactorySession, name: Name) -> "_Doing":
        outcome = Outcome(name)
        client = Client(session, secrets.token_hex(5), self._lab.patience)
        return _Doing(outcome, asyncio.create_task(perform(self._work(client, outcome), outcome)))

    def _work(self, client: Client, outcome: Outcome) -> Awaitable[None]:
        match outcome.operation:
            case "build":
                return build(client, outcome)
            case "vm":
                return vm(client, outcome, self._image)
            case "suite run":
                return suite_run(client, outcome, self._suite)


@dataclass(frozen=True)
class _Doing:
    """An operation and the task that does it."""

    outcome: Outcome
    task: asyncio.Task[Outcome]


@dataclass(frozen=True)
class Strike:
    """A fault that was inflicted: what it did, when it was lifted, and what was under way."""

    kind: Kind
    did: str
    lifted: float
    outcomes: list[Outcome]


def run_of(strike: Strike, seed: int, outcome: Outcome, found: list[Violation], everyones: set[Violation]) -> Run:
    """Tell what became of an operation; `everyones` are violations that count whichever job they are about."""
    about = [v for v in found if not v.about or v.about in outcome.acknowledged or v in everyones]
    return Run(
        kind=strike.kind.name,
        seed=seed,
        operation=outcome.operation,
        did=strike.did,
        ended=outcome.ended,
        again=outcome.again,
        recovery=round(max(0.0, outcome.ended_at - strike.lifted), 2),
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
