"""What a run is to do: of a suite, of a build, of a machine that runs."""

from domain.caller import Caller
from domain.errors import Verdict
from domain.model import Value
from domain.suite.parse import parse_suite
from domain.suite.readiness import judge
from domain.suite.state import SuiteState
from domain.test_run.inputs import RunMachine, RunPlan, RunTarget
from domain.test_run.planning import SLOT, plan_verification
from domain.test_run.state import RunState
from domain.test_run.suite_plan import Selection, plan_suite
from service.factory import Factory
from service.lookup import build_id_of, not_found, require_kept
from service.suite_targets import of_build, targets_of
from service.test_run_lookup import existing_run


class SuiteRunAsk(Value):
    """What may be said of a run of a suite. `hold_minutes` keeps the machines of a run that does not pass."""

    cases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    parameters: dict[str, str | bool | int] | None = None
    hold_minutes: int = 0
    rerun_of: str | None = None


class VerificationAsk(Value):
    """What is to be verified: a build, or a machine that runs."""

    build_id: str | None = None
    vm_id: str | None = None
    hold_minutes: int = 0


async def plan_of_suite(factory: Factory, caller: Caller, state: SuiteState, ask: SuiteRunAsk) -> RunPlan:
    """Plan a run of what is bound to the suite now.

    Raises:
        Verdict: `suite.not_ready` and everything that stands in the way, or a choice that is none.

    """
    before = await _before(factory, caller, state, ask.rerun_of)
    given = ask.parameters if ask.parameters is not None else (before.plan.parameters if before else {})
    parsed = parse_suite(state.document, given)
    async with factory.reads.org(caller.org_id) as reads:
        targets = await targets_of(reads, state.bindings)
    readiness = judge(parsed, targets)
    if not readiness.ready:
        why = f"the suite cannot be run yet: {len(readiness.problems)} thing(s) stand in the way"
        first = Verdict.because("suite.not_ready", why, path="suite_id", next="Do what the problems say.")
        raise Verdict(*first.problems, *readiness.problems)
    plan = plan_suite(
        parsed,
        RunTarget(kind="suite", id=state.suite_id, version=state.version),
        targets,
        selection=_selection(ask, before),
        hold_seconds=ask.hold_minutes * 60,
        rerun_of=ask.rerun_of,
    )
    return await _compared(factory, caller, plan, ask.rerun_of)


async def _compared(factory: Factory, caller: Caller, plan: RunPlan, with_run: str | None = None) -> RunPlan:
    """Name the run that the report compares with: the one said, else the last that came to a verdict."""
    if with_run is None:
        async with factory.reads.org(caller.org_id) as reads:
            last = await reads.test_runs.last(plan)
        with_run = None if last is None else last.run_id
    return plan.model_copy(update={"previous": with_run})


async def _before(factory: Factory, caller: Caller, state: SuiteState, run_id: str | None) -> RunState | None:
    if run_id is None:
        return None
    before = await existing_run(factory, caller, run_id)
    if before.plan.target.id != state.suite_id:
        raise Verdict.because(
            "test_run.of_another_suite",
            "This run is not one of this suite.",
            path="rerun_of",
            value=run_id,
            next="Call list_test_suite_runs with this suite_id.",
        )
    return before


def _selection(ask: SuiteRunAsk, before: RunState | None) -> Selection:
    """Choose what was asked for; of an earlier run, what did not pass there."""
    if before is None or ask.cases or ask.tags:
        return Selection(cases=ask.cases, tags=ask.tags)
    again = tuple(case.name for case in before.cases if case.status != "passed" and case.kind in {"case", "predefined"})
    if not again:
        around = [f"`{case.name}`" for case in before.cases if case.status in {"failed", "error"}]
        but = f" Only {' and '.join(around)} did not pass, which cannot be run alone." if around else ""
        raise Verdict.because(
            "test_run.nothing_failed",
            f"Every case of that run passed: there is nothing to run again.{but}",
            path="rerun_of",
            next="Leave rerun_of out to run the whole suite.",
        )
    return Selection(cases=again)


async def plan_of_build(factory: Factory, caller: Caller, build_id: str, hold_seconds: int) -> RunPlan:
    """Plan the verification of a build's disk image.

    Raises:
        Verdict: `build.not_found` or `build.no_image`.

    """
    build_id = await build_id_of(factory, caller, build_id)
    async with factory.reads.org(caller.org_id) as reads:
        build = await reads.builds.get(build_id)
    if build is None:
        raise not_found(build_id)
    require_kept(build)
    target = of_build(build, SLOT, "qcow2")
    if target.image is None:
        raise Verdict.because(
            "build.no_image",
            f"The build is {build.status} and has no disk image that could be booted.",
            path="build_id",
            next="Follow it with get_build_status until it is completed.",
        )
    machine = RunMachine(
        slot=SLOT,
        image=target.image,
        verification="verified" if target.verified else "unverified",
        recipe=build.recipe,
    )
    plan = plan_verification(target.name, RunTarget(kind="build", id=build_id), machine, hold_seconds=hold_seconds)
    return await _compared(factory, caller, plan)


async def plan_of_vm(factory: Factory, caller: Caller, vm_id: str) -> RunPlan:
    """Plan the verification of a machine that runs.

    Raises:
        Verdict: `vm.not_found` or `vm.wrong_state`.

    """
    async with factory.reads.org(caller.org_id) as reads:
        vm = await reads.vms.get(vm_id)
        build = await reads.builds.get(vm.spec.image.source_id) if vm and vm.spec.image.source == "build" else None
    if vm is None or vm.status == "deleted":
        message = "There is no machine with this id."
        raise Verdict.because("vm.not_found", message, path="vm_id", value=vm_id[:64], next="list_vms")
    if vm.status != "running" or not vm.ready or vm.queue is None:
        state = "running, but its guest does not answer" if vm.status == "running" else vm.status
        message = f"Only a running machine whose guest answers can be verified, and this one is {state}."
        raise Verdict.because("vm.wrong_state", message, path="vm_id", value=vm.status, next="start_vm, then get_vm")
    machine = RunMachine(
        slot=SLOT,
        vm_id=vm_id,
        queue=vm.queue,
        token=vm.token,
        accelerator=vm.accelerator or "tcg",
        recipe=None if build is None else build.recipe,
        firmware=vm.spec.firmware,
    )
    plan = plan_verification(vm.spec.name, RunTarget(kind="vm", id=vm_id), machine)
    return await _compared(factory, caller, plan)
