"""Scheduled rebuilds: the command to a schedule, and the look at its packages that the timetable starts."""

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError

from workflows import policies
from workflows.build import BuildWorkflow
from workflows.build_models import BuildInput
from workflows.recording import record_rebuild

with workflow.unsafe.imports_passed_through():
    from activities.failures import read_failure
    from activities.imaging.models import CompareInput, CompareResult
    from activities.keeping import models as m
    from domain import jobs
    from domain.build.compare import PackageChange
    from domain.build.inputs import BuildRequest, QueueTerms
    from domain.errors import FactoryError, Problem
    from domain.plan import plan_of
    from domain.rebuild.commands import RecordLook
    from domain.rebuild.facts import RebuildFacts
    from domain.rebuild.inputs import Look
    from workflows.jobs import JobCard, turn_of
    from workflows.rebuild_models import DefineRebuild, RebuildDefined

_MOST_NAMED = 10


@workflow.defn(failure_exception_types=[FactoryError])
class DefineRebuildWorkflow:
    """Records one command to a schedule, then has the timetable agree with it."""

    @workflow.run
    async def run(self, start: DefineRebuild) -> RebuildDefined:
        """Decide, append, apply; a command that does not fit fails the workflow with the reason."""
        version = await record_rebuild(start.entry.schedule_id, start.command)
        await workflow.execute_activity(
            m.APPLY_SCHEDULE,
            start.entry,
            result_type=m.Applied,
            start_to_close_timeout=policies.RECORD_LIMIT,
            retry_policy=policies.RECORD,
            summary="The timetable",
        )
        return RebuildDefined(version=version)


@workflow.defn(name=m.LOOK_WORKFLOW, failure_exception_types=[FactoryError])
class RebuildWorkflow:
    """Solves a recipe, compares with its last completed build, and starts a build when packages changed.

    A build that it started for these very packages keeps it from that only while it goes on, or if it failed with a
    verdict. After a fault, a cancel or a deletion another one is started, one at each look.
    """

    @workflow.run
    async def run(self, start: m.LookInput) -> Look | None:
        """Look once. What was found is recorded, and shown by the schedule."""
        facts = await _facts(start.schedule_id)
        look = None if facts is None else await self._look(facts)
        if look is None:
            return None
        await record_rebuild(start.schedule_id, RecordLook(look_id=workflow.info().run_id, look=look))
        workflow.set_current_details(f"**{look.outcome.replace('_', ' ').capitalize()}**: {look.summary}")
        return look

    async def _look(self, facts: RebuildFacts) -> Look | None:
        """Look, and start a build if there is need of one; nothing for a schedule that was deleted meanwhile."""
        if facts.building is not None:
            return _under_way(facts.building)
        compared = await self._compare(facts)
        if isinstance(compared, Look):
            return compared
        found = _unchanged(facts, compared) or _tried(facts, compared)
        if found is not None:
            return found
        if workflow.patched("known-before-start"):  # to solve takes a while, and to wait for a host longer
            known = await _facts(facts.schedule.schedule_id)
            if known is None:
                return None
            if known.building is not None:
                return _under_way(known.building)
        why = _why(facts, compared)
        build_id = await _start(facts, why)
        return Look(
            outcome="started",
            build_id=build_id,
            packages=compared.packages,
            changed=_changed(facts, compared),
            summary=why,
        )

    async def _compare(self, facts: RebuildFacts) -> CompareResult | Look:
        try:
            compared = await workflow.execute_activity(
                "compare_packages",
                CompareInput(recipe=facts.schedule.recipe, manifest=facts.manifest),
                result_type=CompareResult,
                task_queue=policies.IMAGING_QUEUE,
                start_to_close_timeout=policies.STEP_LIMIT["resolve"],
                schedule_to_close_timeout=policies.LOOK_LIMIT,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.FAULTS,
                summary=f"Solve {facts.schedule.name}",
            )
        except ActivityError as error:
            return _failed(read_failure(error).problems)
        return _failed(compared.problems) if compared.problems else compared


async def _facts(schedule_id: str) -> RebuildFacts | None:
    found = await workflow.execute_activity(
        m.FIND_FACTS,
        m.FindFacts(schedule_id=schedule_id),
        result_type=m.FactsFound,
        start_to_close_timeout=policies.FIND_LIMIT,
        retry_policy=policies.FAULTS,
        summary="What is known",
    )
    return found.facts


def _under_way(build_id: str) -> Look:
    return Look(outcome="already_building", build_id=build_id, summary=f"build {build_id} is under way")


async def _start(facts: RebuildFacts, why: str) -> str:
    """Start the build, which lives on by itself."""
    schedule = facts.schedule
    request = BuildRequest(
        build_id=str(workflow.uuid4()),
        org_id=schedule.org_id,
        requested_by=f"schedule of {schedule.requested_by}",
        plan=schedule.plan,
        recipe=schedule.recipe,
        priority="low",
        why=why,
    )
    card = JobCard(
        workflow_id=jobs.workflow_id("build", request.build_id),
        kind="build",
        state="pending",
        org_id=request.org_id,
        name=schedule.name,
        input_digest=request.input_digest,
        summary=f"Build {schedule.name}",
    )
    terms = QueueTerms(most=plan_of(schedule.plan).builds, seconds=facts.seconds)
    await workflow.start_child_workflow(
        BuildWorkflow.run,
        BuildInput(request=request, terms=terms),
        id=card.workflow_id,
        parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        memo=card.memo,
        search_attributes=card.attributes,
        static_summary=card.summary,
        priority=turn_of(schedule.org_id, policies.UNASKED_TURN),
    )
    return request.build_id


def _failed(problems: tuple[Problem, ...]) -> Look:
    first, *rest = problems
    more = f" (and {len(rest)} more)" if rest else ""
    return Look(outcome="failed", summary=f"{first.code}: {first.message}{more}")


def _unchanged(facts: RebuildFacts, compared: CompareResult) -> Look | None:
    """Tell that there is nothing to build, if that is so."""
    last = facts.last_build
    if last is None:
        return None
    if not compared.changed:
        return _nothing(compared, f"all {compared.total} packages are as in build {last}")
    attempt = facts.attempt
    built = attempt is not None and attempt.fate == "completed" and attempt.build_id == last
    if built and _gone(facts, compared) and compared.packages == facts.schedule.tried:
        return _nothing(compared, f"build {last} was started for these {compared.total} packages and completed")
    return None


def _nothing(compared: CompareResult, summary: str) -> Look:
    return Look(outcome="unchanged", packages=compared.packages, summary=summary)


def _tried(facts: RebuildFacts, compared: CompareResult) -> Look | None:
    """Tell which build of these packages shows that another one would fail as well, if one does."""
    if compared.packages != facts.schedule.tried:
        return None
    attempt = facts.attempt
    if attempt is not None and attempt.fate != "wrong":
        return None
    # Without an attempt these facts were found by code that did not look for it, and which held in any case.
    became = "before" if attempt is None else f"and {attempt.words}"
    return Look(
        outcome="already_tried",
        build_id=facts.schedule.last_build,
        packages=compared.packages,
        changed=_changed(facts, compared),
        summary=f"build {facts.schedule.last_build} was started for these packages {became}",
    )


def _why(facts: RebuildFacts, compared: CompareResult) -> str:
    attempt = facts.attempt
    why = _difference(facts, compared)
    if attempt is None or attempt.fate != "over" or compared.packages != facts.schedule.tried:
        return why
    return f"{why}; build {attempt.build_id}, started for these before, {attempt.words}"


def _difference(facts: RebuildFacts, compared: CompareResult) -> str:
    if facts.last_build is None:
        return f"there is no completed build of this recipe; it has {compared.total} packages"
    if _gone(facts, compared):
        return f"the list of packages of build {facts.last_build} is gone"
    named = ", ".join(map(_named, compared.changes[:_MOST_NAMED]))
    rest = compared.changed - min(compared.changed, _MOST_NAMED)
    more = f" and {rest} more" if rest else ""
    return f"{compared.changed} of {compared.total} packages changed since build {facts.last_build}: {named}{more}"


def _gone(facts: RebuildFacts, compared: CompareResult) -> bool:
    """Tell whether the last build's list of packages cannot be had: the plan keeps files only so long."""
    return facts.last_build is not None and (facts.manifest is None or compared.gone)


def _changed(facts: RebuildFacts, compared: CompareResult) -> int:
    return 0 if _gone(facts, compared) else compared.changed


def _named(change: PackageChange) -> str:
    if change.before is None:
        return f"{change.name} {change.after} (new)"
    if change.after is None:
        return f"{change.name} {change.before} (gone)"
    return f"{change.name} {change.before} → {change.after}"
