"""The event log in memory, deciding as the real one does."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable
from statistics import median

from temporalio import activity

from activities.evidence_models import FIND_EVIDENCE, EvidenceFound, FindEvidence
from activities.record_models import RECORD_BUILD, RecordInput, RecordResult
from activities.usual_models import FIND_USUAL, FindUsual, UsualFound
from domain.build.decide import decide
from domain.build.events import BuildEvent
from domain.build.progress import StepDuration
from domain.build.state import BuildState, BuildStatus, fold
from domain.build.steps import StepName
from domain.errors import Verdict
from domain.verification import Reuse, VerificationReport


class FakeRecording:
    """Keeps one stream per build. After it wrote a command of the kind `silent_after` it answers on `speak`."""

    def __init__(self) -> None:
        self.streams: dict[str, list[BuildEvent]] = defaultdict(list)
        self._grown = asyncio.Condition()
        self.refusal: Verdict | None = None
        self.silent_after = ""
        self.speak = asyncio.Event()

    @activity.defn(name=RECORD_BUILD)
    async def record_build(self, request: RecordInput) -> RecordResult:
        """Decide and append."""
        if self.refusal is not None and request.command.kind == "request":
            raise self.refusal
        stream = self.streams[request.build_id]
        new = decide(fold(tuple(stream)), request.command, now=request.at)
        stream.extend(new)
        async with self._grown:
            self._grown.notify_all()
        if self.silent_after == request.command.kind:
            await self.speak.wait()
        return RecordResult(version=len(stream), appended=len(new))

    @activity.defn(name=FIND_EVIDENCE)
    async def find_evidence(self, request: FindEvidence) -> EvidenceFound:
        """Look among the builds of this log."""
        states = (fold(tuple(stream)) for stream in self.streams.values())
        return EvidenceFound(reports=find_evidence((s for s in states if s), request.org_id, request.names))

    @activity.defn(name=FIND_USUAL)
    async def find_usual_durations(self, request: FindUsual) -> UsualFound:
        """Look among the builds of this log."""
        states = (fold(tuple(stream)) for stream in self.streams.values())
        return UsualFound(durations=find_usual((s for s in states if s), request.org_id, request.recipe))

    def state(self, build_id: str) -> BuildState:
        """The build as the log has it."""
        state = fold(tuple(self.streams[build_id]))
        assert state is not None
        return state

    async def reached(self, build_id: str, status: BuildStatus) -> None:
        """Return once the build has that status."""
        async with self._grown:
            await self._grown.wait_for(lambda: bool(self.streams[build_id]) and self.state(build_id).status == status)

    def names(self, build_id: str) -> list[str]:
        """The names of the build's events, in order."""
        return [event.NAME for event in self.streams[build_id]]


def find_evidence(builds: Iterable[BuildState], org_id: str, names: Collection[str]) -> tuple[VerificationReport, ...]:
    """Find the newest report of each name, as `event_store.evidence` does in the database."""
    found: dict[str, VerificationReport] = {}
    for state in sorted(builds, key=lambda s: (s.requested_at, s.build_id)):
        for report in state.reports if state.org_id == org_id else ():
            if report.evidence in {*names} & {*state.evidence} and report.reused is None and state.verified_at:
                reuse = Reuse(build_id=state.build_id, verified_at=state.verified_at)
                found[report.evidence] = report.model_copy(update={"reused": reuse})
    return tuple(found[name] for name in sorted(found))


def find_usual(builds: Iterable[BuildState], org_id: str, recipe: str) -> tuple[StepDuration, ...]:
    """Find as the database does: of the recipe's completed builds, else of the organization's."""
    done = [b for b in builds if b.org_id == org_id and b.status == "completed"]
    taken: dict[tuple[StepName, bool], list[float]] = defaultdict(list)
    for state in [b for b in done if b.recipe.get("name") == recipe] or done:
        for step in state.steps:
            if step.status == "completed" and step.seconds is not None:
                taken[step.step, step.cached].append(step.seconds)
    return tuple(
        StepDuration(step=step, cached=cached, seconds=median(seconds), samples=len(seconds))
        for (step, cached), seconds in taken.items()
    )
