"""Checks running VMs: default suites, and the assertions and steps of a suite's cases (`ports.VmTester`)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from activities.step_log import StepLog
from activities.verification.assertions import check_of
from activities.verification.assertions.commands import Run
from activities.verification.check import Check
from activities.verification.files import fetch, put
from activities.verification.ports import VmGuests
from activities.verification.programs import once
from activities.verification.runner import SETTLE_SECONDS, CheckRunner, Progress
from activities.verification.suites import boot, login, network, packages, services
from activities.verification.vm_models import CheckVm, DefaultSuite, RunStep, StepDone, VmChecked
from activities.vm_ref import VmRef
from domain.errors import Verdict
from domain.recipe.schema import Recipe
from domain.suite.schema import AssertStep, CommandStep, GetFileStep, PutFileStep, WaitStep
from domain.verification import AssertionResult
from infra.ports import ObjectStore

# All results of one call have to fit into one payload of 2 MB.
_TEXT_OF_ALL = 800_000
_LEAST_TEXT = 200
_LOOK_AGAIN = 1.0
_ENDED = frozenset({"guest.panicked", "guest.off"})

_OF_RECIPE: dict[DefaultSuite, Callable[[Recipe], tuple[Check, ...]]] = {
    "login": login.checks,
    "packages": packages.checks,
    "services": services.checks,
}
_OF_ANY: dict[DefaultSuite, Callable[[], tuple[Check, ...]]] = {"boot": boot.checks, "network": network.checks}


@dataclass(frozen=True)
class VmChecker:
    """Tests VMs through their guest agents or SSH; files that are fetched go to `objects`."""

    guests: VmGuests
    objects: ObjectStore
    runner: CheckRunner = field(default_factory=CheckRunner)

    async def check(self, request: CheckVm, log: StepLog) -> VmChecked:
        """Check the VM.

        Raises:
            Verdict: `guest.unusable`, `guest.agent_silent`, `guest.timeout`, or what `VmGuests.vm_guest` raises.
            Fault: the hypervisor does not answer.

        """
        recipe = None if request.recipe is None else Recipe.model_validate(request.recipe)
        progress = Progress(log, request.label)
        first = (boot.started(recipe),) if "boot" in request.defaults else ()
        rest = (*_defaults(request, recipe), *(check_of(c.assertion, c.suite) for c in request.checks))
        progress.expect(len(first) + len(rest))
        # The rest comes after the first one: that waits until the start is over.
        settle = SETTLE_SECONDS[request.accelerator] if request.settle is None else request.settle
        if first:
            guest = await self.guests.vm_guest(request.vm)
            results = await self.runner.run(guest, first, progress, settle=0.0)
            results += await self.runner.run(guest, rest, progress, settle=settle)
        else:
            results = await self._patiently(request.vm, rest, progress, settle)
        log.line(f"{request.label}: {sum(r.passed for r in results)} of {len(results)} assertions hold")
        return VmChecked(results=_fitting(results))

    async def step(self, request: RunStep, log: StepLog) -> StepDone:
        """Do one step. A command is run once for each run and label: a repeated step adopts what an earlier one did.

        Raises:
            Verdict: as `check`.
            Fault: the hypervisor or the object store does not answer.

        """
        match request.step:
            case PutFileStep():
                guest = await self.guests.vm_guest(request.vm)
                done = StepDone(result=await put(guest, request.step, request.suite))
            case GetFileStep():
                guest = await self.guests.vm_guest(request.vm)
                prefix = f"artifacts/{request.run_id}/{request.label}"
                done = await fetch(guest, request.step, request.suite, self.objects, prefix)
            case AssertStep() | WaitStep() | CommandStep():
                return StepDone(result=await self._asked(request, log))
        Progress(log, request.label).done(done.result)
        return done

    async def _asked(self, request: RunStep, log: StepLog) -> AssertionResult:
        settle = SETTLE_SECONDS[request.accelerator]
        (result,) = await self._patiently(request.vm, (_check_of(request),), Progress(log, request.label), settle)
        return result

    async def _patiently(
        self, vm: VmRef, checks: tuple[Check, ...], progress: Progress, settle: float
    ) -> list[AssertionResult]:
        """Ask; look for a guest that cannot be asked, which may be restarting, as long as the first check has time."""
        deadline = self.runner.clock() + (checks[0].within or 0.0 if checks else 0.0)
        while True:
            try:
                guest = await self.guests.vm_guest(vm)
                return await self.runner.run(
                    guest, _shortened(checks, deadline - self.runner.clock()), progress, settle=settle
                )
            except Verdict as error:
                if not _may_come_back(error) or self.runner.clock() >= deadline:
                    raise
            await self.runner.pause(_LOOK_AGAIN)


def _may_come_back(error: Verdict) -> bool:
    return error.code.startswith("guest.") and error.code not in _ENDED


def _shortened(checks: tuple[Check, ...], left: float) -> tuple[Check, ...]:
    """Give the first check no more time than it has left."""
    if not checks or checks[0].within is None:
        return checks
    return (replace(checks[0], within=max(0.0, left)), *checks[1:])


def _defaults(request: CheckVm, recipe: Recipe | None) -> tuple[Check, ...]:
    checks: list[Check] = []
    for suite in request.defaults:
        if suite in _OF_ANY:
            checks += _OF_ANY[suite]()
        elif recipe is not None:
            checks += _OF_RECIPE[suite](recipe)
    return tuple(checks)


def _check_of(request: RunStep) -> Check:
    step = request.step
    match step:
        case AssertStep():
            check = check_of(step.assertion, request.suite)
        case WaitStep():
            check = replace(check_of(step.until, request.suite), within=step.within)
        case CommandStep():
            # Not harmless to repeat, and the host's worker may die while it runs.
            check = _command(step, request.suite)
            check = replace(check, probe=once(check.probe, f"{request.run_id}.{request.label}"))
        case PutFileStep() | GetFileStep():
            raise TypeError("a file is no question")
    return replace(check, description=step.description or check.description)


def _command(step: CommandStep, suite: str) -> Check:
    run = Run(
        argv=step.argv or ("sh", "-c", step.command or ""),
        user=step.user,
        status=step.status,
        contains=step.contains,
        matches=step.matches,
        timeout=step.timeout,
    )
    return Check(
        suite=suite,
        description=f"`{run.short}` runs",
        type="command",
        expected=run.expected,
        probe=run.probe,
        judge=run.judge,
        params=step.model_dump(mode="json", exclude_defaults=True, exclude={"action", "slot", "description"}),
    )


def _fitting(results: list[AssertionResult]) -> tuple[AssertionResult, ...]:
    most = max(_LEAST_TEXT, _TEXT_OF_ALL // max(1, len(results)))
    return tuple(
        r if len(r.found) <= most else r.model_copy(update={"found": r.found[: most - 1] + "…"}) for r in results
    )
