"""Fast work behind the real adapters of imaging: what takes minutes with apt takes milliseconds with tar.

Workspaces, sandboxes, the blob store, the indexes and the publisher are the product's own.
"""

import asyncio
import http.client
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from activities.imaging.assembly_plans import DiskPlan, LivePlan, StagePlan
from activities.imaging.layers_plans import ConfigurationPlan, LayerPlan, PackagePlan
from activities.imaging.lock import Lock, store_lock
from activities.imaging.models import ResolveInput, ResolveResult
from activities.imaging.pinned import bring_lock
from activities.imaging.store import LocalBlobStore
from activities.machines.ports import Guest
from activities.step_log import StepLog
from activities.verification.assertions.commands import Run
from activities.verification.check import Check
from activities.verification.evidence import names_of
from activities.verification.models import EvidenceNames, NameEvidence, VerifyInput, VerifyResult
from activities.verification.ports import Guests
from activities.verification.runner import CheckRunner, Progress
from domain.canonical import digest
from domain.errors import Fault, Problem
from domain.verification import VerificationReport
from domain.vm.spec import Network
from infra.netns.models import Cabling, Link
from infra.ports import ObjectStore
from infra.process import CommandError, run
from infra.sandbox import sandboxed
from infra.settings import Settings

_EPOCH = 1_700_000_000
_SECONDS = 30.0


@dataclass(frozen=True)
class QuickResolver:
    """Asks the mirror for its index, as apt would, and solves every recipe into no packages at all."""

    settings: Settings
    store: LocalBlobStore
    objects: ObjectStore

    async def resolve(self, request: ResolveInput, log: StepLog) -> ResolveResult:
        if request.lock is not None:
            earlier = await bring_lock(self.store, self.objects, request.lock)
            return ResolveResult(lock=request.lock, packages=0, download_bytes=0, image_bytes=1, index=earlier.index)
        lock, _ = await self.solve(request.recipe, log)
        blob = await store_lock(self.store, lock)
        return ResolveResult(lock=blob, packages=0, download_bytes=0, image_bytes=1, index=lock.index)

    async def solve(self, recipe: dict[str, object], log: StepLog) -> tuple[Lock, tuple[Problem, ...]]:
        index = await asyncio.to_thread(_index, str(self.settings.mirror))
        log.line(f"The mirror's index is of {index}.")
        moment = _EPOCH + int(digest(recipe)[:6], 16)
        return Lock(suite="bookworm", arch="amd64", epoch=moment, index=index, base=(), packages=(), wanted=()), ()

    async def check(self, recipe: dict[str, object], log: StepLog) -> tuple[Problem, ...]:
        log.progress(100, str(recipe.get("name")))
        return ()


def _index(mirror: str) -> str:
    address = urlsplit(mirror)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=3)
    try:
        connection.request("GET", "/index")
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != http.client.OK:
            raise OSError(f"it answers {answer.status}")  # noqa: TRY301 - as any other trouble with it
    except (OSError, http.client.HTTPException) as error:
        raise Fault.because("mirror.unavailable", f"the mirror does not answer: {error}", next="Retry.") from error
    finally:
        connection.close()
    return text


async def quick_stage(name: str, plan: StagePlan, log: StepLog) -> None:
    """Make what the stage of this name is to make (`stage_runner.run_stage`), of a few kilobytes."""
    work = getattr(plan, "work", None)
    assert isinstance(work, Path)
    (work / "etc").mkdir()
    (work / "etc" / "made-by").write_text(f"{name} {plan.epoch} {_parent(plan)}\n", encoding="utf-8")
    (work / "etc" / "filling").write_bytes(bytes(range(256)) * 256)
    log.line(f"{name} begins.")
    try:
        await _make(plan, work)
    except CommandError as error:
        said = "; ".join(error.tail[-3:])
        raise Fault.because("stage.failed", f"{error.problems[0].message} {said}", next="Retry.") from error
    log.progress(100, f"{name} is done")


async def _make(plan: StagePlan, work: Path) -> None:
    tar = ["tar", "--create", "--sort=name", f"--mtime=@{plan.epoch}", "--owner=0", "--group=0", "--file"]
    match plan:
        case LayerPlan():
            await run(sandboxed([*tar, str(plan.output), "-C", str(work), "etc"]), timeout=_SECONDS)
        case DiskPlan():
            raw = work / "raw"
            await run(sandboxed([*tar, str(raw), "-C", str(work), "etc"]), timeout=_SECONDS)
            argv = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(plan.output)]
            await run(sandboxed(argv), timeout=_SECONDS)
        case LivePlan():
            await run(sandboxed([*tar, str(plan.output), "-C", str(work), "etc"]), timeout=_SECONDS)
        case _:
            raise TypeError(f"no quick way to make {plan}")


def _parent(plan: StagePlan) -> str:
    match plan:
        case PackagePlan() | ConfigurationPlan():
            return plan.parent.name
        case DiskPlan() | LivePlan():
            return plan.digest
        case _:
            return "nothing"


async def quick_sources(_suite: str, _mirror: str | None, _workspace: Path) -> str:
    """What `apt_image_sources.image_sources` makes of the host's bootstrap tool."""
    return "Types: deb\n"


@dataclass(frozen=True)
class QuickVerifier:
    """Asks each guest one thing, by the real way into guests."""

    guests: Guests

    async def verify(self, request: VerifyInput, log: StepLog) -> VerifyResult:
        reports: list[VerificationReport] = []
        for up in request.boots:
            guest = self.guests.guest(request.job.job_id, up.artifact)
            progress = Progress(log, up.artifact)
            results = await CheckRunner().run(guest, _checks(), progress, settle=5.0)
            reports.append(
                VerificationReport(
                    artifact=up.artifact,
                    firmware=up.firmware,
                    accelerator=up.accelerator,
                    boot_seconds=up.seconds,
                    results=tuple(results),
                )
            )
        return VerifyResult(reports=tuple(reports))

    async def name_evidence(self, request: NameEvidence) -> EvidenceNames:
        return await asyncio.to_thread(names_of, request)


def _checks() -> Sequence[Check]:
    ran = Run(argv=("true",), timeout=10)
    return (
        Check(
            suite="boot",
            description="the system is up",
            type="command",
            expected=ran.expected,
            probe=ran.probe,
            judge=ran.judge,
        ),
    )


class QuickNetworks:
    """Links of machines that have no network: the same names, nothing behind them."""

    def __init__(self, _paths: object) -> None:
        self._plugged: set[str] = set()

    async def plug(self, machine: str, org_id: str, networks: Iterable[Network], *, egress: bool) -> Cabling:
        self._plugged.add(machine)
        return Cabling(uplink=Link(bridge="none", mac="52:54:00:00:00:01", address="10.0.2.15", prefix=24))

    async def unplug(self, machine: str, *, forget: bool) -> int:
        found = machine in self._plugged
        if forget:
            self._plugged.discard(machine)
        return int(found)

    async def introduce(self, machine: str, guest: Guest, *, if_news: bool = False) -> object:
        return ()

    async def open_guest_port(self, machine: str, port: int) -> object:
        raise Fault.because("network.unavailable", f"{machine} has no port {port}", next="Retry.")
