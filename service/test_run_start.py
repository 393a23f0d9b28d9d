"""Starting test runs: of a suite, of a build, of a machine that runs; once for each request key."""

from collections.abc import Mapping

from domain.caller import Caller
from domain.canonical import digest
from domain.errors import Fault, Verdict
from domain.model import Value
from domain.plan import Usage, check_quota, check_spec, check_ttl, needs, plan_of
from domain.suite.parse import parse_suite
from domain.suite.readiness import judge
from domain.suite.state import SuiteState
from domain.test_run.inputs import RunMachine, RunPlan, RunRequest, RunTarget
from domain.test_run.planning import SLOT, plan_verification
from domain.test_run.state import RunState
from domain.test_run.suite_plan import Selection, plan_suite
from domain.test_run.views import RunView
from domain.vm.spec import VmSpec
from service.build_create import VISIBLE_SECONDS
from service.factory import Factory
from service.ids import derived_id
from service.permissions import require
from service.suite_lookup import existing_suite
from service.suite_targets import of_build, targets_of
from service.test_run_lookup import existing_run, run_state
from service.test_run_view import accepted, run_view

Parameters = Mapping[str, str | bool | int]


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


async def run_suite(
    factory: Factory, caller: Caller, suite_id: str, ask: SuiteRunAsk, *, request_key: str | None = None
) -> RunView:
    """Boot the images bound to a suite and run its cases; with `rerun_of` only those that did not pass there.

    Raises:
        Verdict: `suite.not_found`, everything for which the suite is not ready (`suite.not_ready` first),
            `suite.unknown_case`, `test_run.nothing_failed`, `vm.quota`, or `request_key.reused`.

    """
    require(caller, "run_test_suite")
    state = await existing_suite(factory, caller, suite_id)
    start = _Start(factory, caller, "run_test_suite", {"suite_id": suite_id, **ask.model_dump(mode="json")})
    if (earlier := await start.earlier(request_key)) is not None:
        return earlier
    plan = await _suite_plan(factory, caller, state, ask)
    return await start.go(plan)


async def run_verification(
    factory: Factory, caller: Caller, ask: VerificationAsk, *, request_key: str | None = None
) -> RunView:
    """Verify a build, booted as a machine of the run's own, or a machine that runs, as it is.

    Raises:
        Verdict: `argument.conflict` unless exactly one of the two is given, `build.not_found`,
            `build.no_image`, `vm.not_found`, `vm.wrong_state`, `vm.quota`, `request_key.reused`.

    """
    require(caller, "run_verification")
    if (ask.build_id is None) == (ask.vm_id is None):
        raise Verdict.because(
            "argument.conflict", "Give either build_id or vm_id.", path="build_id", next="Name one of the two."
        )
    start = _Start(factory, caller, "run_verification", ask.model_dump(mode="json"))
    if (earlier := await start.earlier(request_key)) is not None:
        return earlier
    hold = ask.hold_minutes * 60
    if ask.build_id is not None:
        return await start.go(await _build_plan(factory, caller, ask.build_id, hold))
    return await start.go(await _vm_plan(factory, caller, ask.vm_id or ""))


class _Start:
    """One request: its id, and what it has in common with its repeats."""

    def __init__(self, factory: Factory, caller: Caller, tool: str, asked: Mapping[str, object]) -> None:
        self._factory = factory
        self._caller = caller
        self._tool = tool
        self._digest = digest({"tool": tool, **asked})
        self._run_id = factory.new_id()

    async def earlier(self, request_key: str | None) -> RunView | None:
        """Return the run that this key started before, if there is one for the same input."""
        if request_key is None:
            return None
        self._run_id = derived_id(self._caller.org_id, self._tool, request_key)
        state = await run_state(self._factory, self._caller, self._run_id)
        known = state.input_digest if state else await self._known()
        if known is None:
            return None
        if known != self._digest:
            raise Verdict.because(
                "request_key.reused",
                "This request_key was used before for another run.",
                path="request_key",
                next=f"Use a new request_key for a new run; the old one is run_id {self._run_id}.",
            )
        view = accepted(self._run_id) if state is None else run_view(state, now=self._factory.now())
        return view.model_copy(update={"replayed": True})

    async def go(self, plan: RunPlan) -> RunView:
        """Start the run and answer with it as soon as it can be read, or after two seconds."""
        await self._refuse_too_much(plan)
        request = RunRequest(
            run_id=self._run_id,
            org_id=self._caller.org_id,
            requested_by=self._caller.subject,
            account=self._caller.plan,
            input_digest=self._digest,
            plan=plan,
        )
        await self._factory.tests.start_run(request)
        try:
            await self._factory.reads.wait_for(self._caller.org_id, "test_runs", self._run_id, 1, VISIBLE_SECONDS)
            state = await run_state(self._factory, self._caller, self._run_id)
        except Fault:  # it was accepted; that it cannot be seen now does not change that
            state = None
        if state is None:
            return accepted(self._run_id, name=plan.name)
        return run_view(state, now=self._factory.now())

    async def _known(self) -> str | None:
        return await self._factory.tests.run_known(self._run_id, self._caller.org_id)

    async def _refuse_too_much(self, plan: RunPlan) -> None:
        """Say at once what the organization's plan does not allow; the log's own count still guards it."""
        limits = plan_of(self._caller.plan)
        specs = [_spec(machine) for machine in plan.machines if machine.image is not None]
        problems = [problem for spec in specs for problem in check_spec(limits, spec) if problem.path != "egress"]
        more = [needs(spec) for spec in specs]
        total = Usage(
            vms=len(more),
            memory=sum(n.memory for n in more),
            cpus=sum(n.cpus for n in more),
            disk=sum(n.disk for n in more),
        )
        problems += check_quota(limits, Usage(), total)
        problems += check_ttl(limits, plan.hold_seconds)
        if problems:
            raise Verdict(*problems)


def _spec(machine: RunMachine) -> VmSpec:
    if machine.image is None:
        raise AssertionError("only a machine of the run's own is asked for")
    return VmSpec(
        name=machine.slot, image=machine.image, memory=machine.memory, cpus=machine.cpus, disk=machine.disk, ttl=60
    )


async def _suite_plan(factory: Factory, caller: Caller, state: SuiteState, ask: SuiteRunAsk) -> RunPlan:
    before = await _before(factory, caller, state, ask.rerun_of)
    given = ask.parameters if ask.parameters is not None else (before.plan.parameters if before else {})
    parsed = parse_suite(state.document, given)
    async with factory.reads.org(caller.org_id) as reads:
        targets = await targets_of(reads, state.bindings)
        last = (await reads.test_runs.page(limit=1, kind="suite", target_id=state.suite_id)).runs
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
    previous = ask.rerun_of or next((run.run_id for run in last), None)
    return plan.model_copy(update={"previous": previous})


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
        raise Verdict.because(
            "test_run.nothing_failed",
            "Every case of that run passed: there is nothing to run again.",
            path="rerun_of",
            next="Leave rerun_of out to run the whole suite.",
        )
    return Selection(cases=again)


async def _build_plan(factory: Factory, caller: Caller, build_id: str, hold_seconds: int) -> RunPlan:
    async with factory.reads.org(caller.org_id) as reads:
        build = await reads.builds.get(build_id)
    if build is None:
        message = "There is no build with this id."
        raise Verdict.because("build.not_found", message, path="build_id", value=build_id[:64], next="list_builds")
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
    return plan_verification(target.name, RunTarget(kind="build", id=build_id), machine, hold_seconds=hold_seconds)


async def _vm_plan(factory: Factory, caller: Caller, vm_id: str) -> RunPlan:
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
    return plan_verification(vm.spec.name, RunTarget(kind="vm", id=vm_id), machine)
