"""Starting test runs: of a suite, of a build, of a machine that runs; once for each request key."""

from collections.abc import Mapping
from contextlib import suppress

from domain.caller import Caller
from domain.canonical import digest
from domain.errors import Fault, Verdict
from domain.plan import Usage, check_quota, check_spec, check_ttl, needs, plan_of
from domain.test_run.inputs import RunMachine, RunPlan, RunRequest
from domain.test_run.views import RunView
from domain.vm.spec import VmSpec
from service.build_create import VISIBLE_SECONDS
from service.factory import Factory
from service.ids import derived_id
from service.permissions import require
from service.suite_lookup import existing_suite
from service.test_run_lookup import run_state
from service.test_run_plans import SuiteRunAsk, VerificationAsk, plan_of_build, plan_of_suite, plan_of_vm
from service.test_run_queries import view_of
from service.test_run_view import accepted


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
    plan = await plan_of_suite(factory, caller, state, ask)
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
        return await start.go(await plan_of_build(factory, caller, ask.build_id, hold))
    return await start.go(await plan_of_vm(factory, caller, ask.vm_id or ""))


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
        view = accepted(self._run_id) if state is None else await view_of(self._factory, state)
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
            usual_seconds=await self._usual(plan),
        )
        await self._factory.tests.start_run(request)
        try:
            await self._factory.reads.wait_for(self._caller.org_id, "test_runs", self._run_id, 1, VISIBLE_SECONDS)
            state = await run_state(self._factory, self._caller, self._run_id)
        except Fault:  # it was accepted; that it cannot be seen now does not change that
            state = None
        if state is None:
            return accepted(self._run_id, name=plan.name)
        return await view_of(self._factory, state)

    async def _usual(self, plan: RunPlan) -> float | None:
        """Tell how long the run took that this one will be measured by."""
        with suppress(Fault):  # less is shown, but no reason to start nothing
            async with self._factory.reads.org(self._caller.org_id) as reads:
                before = await reads.test_runs.last(plan)
            return None if before is None else before.seconds
        return None

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
