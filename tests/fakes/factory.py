"""A whole factory in memory: what the service needs, without a server or a file."""

import itertools
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from domain.artifacts import LOCK, Artifact, Blob
from domain.build import events as e
from domain.build.commands import DeleteBuild
from domain.build.decide import decide
from domain.build.inputs import BuildRequest, QueueTerms
from domain.build.names import BuildTag
from domain.build.progress import StepDuration
from domain.build.state import BuildState, BuildStatus, evolve
from domain.build_summary import summarise
from domain.caller import Caller, Permission
from domain.errors import Fault, Problem, Verdict
from domain.guest import Guest, guest_caller
from domain.image.state import ImageState
from domain.rebuild.state import ScheduleState
from domain.saved_recipe.state import SavedRecipeState
from domain.suite.state import SuiteState
from domain.test_run.state import RunState
from domain.views import BuildPage
from domain.vm.state import VmState
from event_store.models.builds import Outlook
from event_store.org_reads import Model
from infra.client_sessions import SessionSeal
from infra.console_tickets import TicketSigner
from infra.log_find import Finder, LogWish
from infra.log_layout import encode_record
from infra.ports import FoundPage, LogPage, LogRecord
from infra.signed_links import LinkSigner
from infra.uploads import UploadSigner
from service.admission.credentials import OPERATOR
from service.factory import Factory
from service.hosts import allowed_hosts
from service.recipe_catalog import load_catalog
from tests.fakes.consoles import FakeGrants
from tests.fakes.guests import FakeDenials, FakeGuests, FakeMeters
from tests.fakes.images import FakeImageReads, FakeImages
from tests.fakes.objects import FakeObjectStore
from tests.fakes.pages import place_of
from tests.fakes.rebuilds import FakeRebuildReads, FakeRebuilds
from tests.fakes.recipes import FakeRecipes, FakeSavedRecipeReads
from tests.fakes.suites import FakeRunReads, FakeSuiteReads, FakeTests
from tests.fakes.vm_front import FakeMachines, FakeVmReads
from workflows.commands import CancelCommand, RetryCommand, ValidateInput, ValidateResult
from workflows.slot_models import QueuePlace

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
READER = Caller(org_id="local", subject="reader", plan="free", permissions=frozenset({Permission.READ}))
NOBODY = Caller(org_id="local", subject="nobody", plan="free", permissions=frozenset())
GUEST = guest_caller(
    Guest(
        guest_id="0123456789abcdef",
        network="192.0.2.1",
        minted_by="page",
        minted_at=NOW,
        expires_at=NOW + timedelta(days=30),
    )
)
STRANGER = OPERATOR.model_copy(update={"org_id": "other", "subject": "stranger"})
KEYS = {"operator-key": OPERATOR, "reader-key": READER, "nobody-key": NOBODY, "stranger-key": STRANGER}


class FakeReads:
    """Builds folded from events. A version somebody waits for and that is not there never comes."""

    def __init__(self) -> None:
        self.builds: dict[str, BuildState] = {}
        self.images: dict[str, ImageState] = {}
        self.vms: dict[str, VmState] = {}
        self.suites: dict[str, SuiteState] = {}
        self.test_runs: dict[str, RunState] = {}
        self.saved_recipes: dict[str, SavedRecipeState] = {}
        self.rebuilds: dict[str, ScheduleState] = {}
        self.step_durations: tuple[StepDuration, ...] = ()
        self.waits: list[tuple[str, int, float]] = []
        self.arriving: list[e.BuildEvent] = []
        self.away = False

    def apply(self, *events: e.BuildEvent) -> None:
        """Fold events into their builds."""
        for event in events:
            self.builds[event.build_id] = evolve(self.builds.get(event.build_id), event)

    @asynccontextmanager
    async def org(self, org_id: str) -> AsyncGenerator["_OrgReads"]:
        await self.ping()
        yield _OrgReads(
            builds=_BuildReads(self, org_id),
            images=FakeImageReads(self.images, org_id),
            vms=FakeVmReads(self.vms, org_id),
            suites=FakeSuiteReads(self.suites, org_id),
            test_runs=FakeRunReads(self.test_runs, org_id),
            meters=FakeMeters(
                [state for state in self.builds.values() if state.org_id == org_id],
                [state for state in self.vms.values() if state.org_id == org_id],
                NOW,
            ),
            saved_recipes=FakeSavedRecipeReads(self.saved_recipes, org_id),
            rebuilds=FakeRebuildReads(self.rebuilds, org_id),
        )

    async def wait_for(self, org_id: str, model: Model, key: str, version: int, timeout: float) -> bool:  # noqa: ASYNC109 - the port
        """Bring the events that are on their way, one for each wait."""
        await self.ping()
        self.waits.append((key, version, timeout))
        if self.arriving:
            self.apply(self.arriving.pop(0))
        state = getattr(self, model).get(key)
        return state is not None and state.org_id == org_id and state.version >= version

    async def ping(self) -> None:
        if self.away:
            raise Fault.because("database.unavailable", "the database at 10.9.8.7 does not answer")


@dataclass(frozen=True)
class _OrgReads:
    builds: "_BuildReads"
    images: FakeImageReads
    vms: FakeVmReads
    suites: FakeSuiteReads
    test_runs: FakeRunReads
    meters: FakeMeters
    saved_recipes: FakeSavedRecipeReads
    rebuilds: FakeRebuildReads


class _BuildReads:
    def __init__(self, reads: FakeReads, org_id: str) -> None:
        self._reads = reads
        self._org_id = org_id

    def _mine(self) -> list[BuildState]:
        mine = [state for state in self._reads.builds.values() if state.org_id == self._org_id]
        return sorted(mine, key=lambda state: (state.requested_at, state.build_id), reverse=True)

    async def get(self, build_id: str) -> BuildState | None:
        return next((state for state in self._mine() if state.build_id == build_id), None)

    async def page(
        self, *, limit: int, cursor: str | None = None, status: BuildStatus | None = None, name: str | None = None
    ) -> BuildPage:
        fitting = [
            state
            for state in self._mine()
            if (state.status == status or (status is None and state.deleted is None))
            and name in (None, state.recipe.get("name"))
        ]
        start = place_of(cursor)
        more = str(start + limit) if len(fitting) > start + limit else None
        return BuildPage(builds=tuple(map(summarise, fitting[start : start + limit])), next_cursor=more)

    async def newest(self, tag: BuildTag) -> str | None:
        return next(
            (
                state.build_id
                for state in self._mine()
                if tag.recipe in (None, state.recipe.get("name"))
                and state.deleted is None
                and (not tag.verified or _verified(state))
            ),
            None,
        )

    async def beginning(self, digits: str, *, limit: int) -> tuple[str, ...]:
        return tuple(sorted(s.build_id for s in self._mine() if s.build_id.startswith(digits)))[:limit]

    async def called(self, beginning: str, *, limit: int) -> tuple[str, ...]:
        there = [(s.build_id, str(s.recipe.get("name"))) for s in self._mine() if s.deleted is None]
        return tuple(b for b, name in there if b.startswith(beginning) or name.startswith(beginning))[:limit]

    async def outlook(self, name: str) -> Outlook:
        statuses = [state.status for state in self._mine()]
        running = statuses.count("building") + statuses.count("testing")
        return Outlook(statuses.count("pending"), running, await self.durations(name))

    async def durations(self, name: str) -> tuple[StepDuration, ...]:
        return self._reads.step_durations


def _verified(state: BuildState) -> bool:
    images = [artifact for artifact in state.artifacts if artifact.kind in {"qcow2", "iso"}]
    return state.status == "completed" and bool(images) and all(i.verification == "verified" for i in images)


class FakeWorkflows:
    """Starts builds by folding their first event at once, unless `lagging`."""

    def __init__(self, reads: FakeReads) -> None:
        self.reads = reads
        self.started: list[BuildRequest] = []
        self.terms: list[QueueTerms] = []
        self.queue: tuple[QueuePlace, ...] = ()
        self.retries: list[tuple[str, RetryCommand]] = []
        self.cancels: list[tuple[str, CancelCommand]] = []
        self.verdicts: tuple[Problem, ...] = ()
        self.validated: list[ValidateInput] = []
        self.lagging = False
        self.away = False
        self.spent = False

    async def start_build(self, request: BuildRequest, terms: QueueTerms) -> bool:
        await self.ping()
        if self.spent:
            raise Verdict.because("build.quota", "the last one was taken just now")
        self.terms.append(terms)
        if any(known.build_id == request.build_id for known in self.started):
            return False
        self.started.append(request)
        if not self.lagging:
            self.reads.apply(requested(request))
        return True

    async def build_known(self, build_id: str, org_id: str) -> str | None:
        await self.ping()
        for request in self.started:
            if request.build_id == build_id and request.org_id == org_id:
                return request.input_digest
        return None

    async def build_queue(self, org_id: str) -> tuple[QueuePlace, ...]:
        await self.ping()
        return tuple(place for place in self.queue if place.org_id == org_id)

    async def retry_build(self, build_id: str, command: RetryCommand) -> None:
        await self.ping()
        self.retries.append((build_id, command))

    async def cancel_build(self, build_id: str, command: CancelCommand) -> None:
        await self.ping()
        self.cancels.append((build_id, command))

    async def delete_build(self, build_id: str, command: DeleteBuild) -> int:
        await self.ping()
        self.reads.apply(*decide(self.reads.builds[build_id], command, now=NOW))
        return self.reads.builds[build_id].version

    async def validate_recipe(self, question: ValidateInput) -> ValidateResult:
        await self.ping()
        self.validated.append(question)
        return ValidateResult(problems=self.verdicts)

    async def ping(self) -> None:
        if self.away:
            raise Fault.because("temporal.unavailable", "the workflow engine at 10.9.8.7 does not answer")


class FakeLogs:
    """Logs as lists of records; a cursor is how many were read."""

    def __init__(self) -> None:
        self.records: dict[str, list[LogRecord]] = {}
        self.away = False

    def write(self, job_id: str, *texts: str, step: str = "assemble") -> None:
        rows = [LogRecord(at=1_900_000_000_000 + i, kind="line", step=step, text=t) for i, t in enumerate(texts)]
        self.records.setdefault(job_id, []).extend(rows)

    async def read(
        self,
        job_id: str,
        cursor: str | None = None,
        *,
        limit_bytes: int = 256 << 10,
        limit_records: int = 1000,
        wait_s: float = 0.0,
        steps: Collection[str] | None = None,
    ) -> LogPage:
        taken: list[LogRecord] = []
        place = place_of(cursor)
        left = limit_bytes
        for record in self.records.get(job_id, [])[place:]:
            left -= len(record.text.encode(errors="replace"))
            if len(taken) == limit_records or (left < 0 and taken):
                break
            place += 1
            if steps is None or record.step in steps:
                taken.append(record)
        return LogPage(records=tuple(taken), cursor=str(place))

    async def find(
        self,
        job_id: str,
        wish: LogWish,
        cursor: str | None = None,
        *,
        limit_bytes: int = 256 << 10,
        limit_lines: int = 1000,
    ) -> FoundPage:
        """Find as the real reader does, in a log of one object of each step's lines."""
        finder = Finder(wish, limit_bytes=limit_bytes, limit_lines=limit_lines)
        place, number = place_of(cursor), 0
        for index, record in enumerate(self.records.get(job_id, [])):
            key = f"logs/{job_id}/00.0-{record.step}/0001/00000001"
            read = finder.reads(key, encode_record(record), number, 1 if index < place else 0)
            if read.full:
                return FoundPage(lines=tuple(finder.found), cursor=str(index), more=True)
            number += record.kind == "line"
            place = max(place, index + 1)
        return FoundPage(lines=tuple(finder.found), cursor=str(place), more=False)

    async def tail(self, job_id: str, n: int) -> LogPage:
        records = self.records.get(job_id, [])
        lines = [record for record in records if record.kind == "line"]
        return LogPage(records=tuple(lines[-n:]), cursor=str(len(records)))

    async def progress(self, job_id: str) -> LogRecord | None:
        if self.away:
            raise Fault.because("objects.unavailable", "the object store does not answer")
        return next((r for r in reversed(self.records.get(job_id, [])) if r.kind == "progress"), None)


class FakeCredentials:
    """Knows the keys of `KEYS`."""

    async def verify(self, credential: str) -> Caller | None:
        return KEYS.get(credential)


@dataclass
class World:
    """The fakes, and the factory made of them."""

    reads: FakeReads = field(default_factory=FakeReads)
    logs: FakeLogs = field(default_factory=FakeLogs)
    objects: FakeObjectStore = field(default_factory=FakeObjectStore)
    now: datetime = NOW
    public_url: str = "http://127.0.0.1:7300"
    guests_on: bool = True

    def __post_init__(self) -> None:
        self.workflows = FakeWorkflows(self.reads)
        self.images = FakeImages(self.reads.images)
        self.tests = FakeTests(self.reads.suites, self.reads.test_runs)
        self.saved_recipes = FakeRecipes(self.reads.saved_recipes)
        self.rebuilds = FakeRebuilds(self.reads.rebuilds)
        self.vms = FakeMachines(self.reads.vms, self.objects)
        self.grants = FakeGrants(now=lambda: self.now)
        self.denials = FakeDenials()
        self.guests = FakeGuests(now=lambda: self.now)
        numbers = itertools.count(1)
        self.factory = Factory(
            reads=self.reads,
            workflows=self.workflows,
            logs=self.logs,
            objects=self.objects,
            links=LinkSigner(b"k" * 32),
            uploads=UploadSigner(b"k" * 32),
            images=self.images,
            tests=self.tests,
            saved_recipes=self.saved_recipes,
            vms=self.vms,
            rebuilds=self.rebuilds,
            consoles=self.grants,
            tickets=TicketSigner(b"k" * 32),
            sessions=SessionSeal(b"k" * 32),
            credentials=FakeCredentials(),
            denials=self.denials,
            guests=self.guests if self.guests_on else None,
            catalog=load_catalog(),
            public_url=self.public_url,
            allowed_hosts=allowed_hosts(self.public_url, ("factory.test",)),
            now=lambda: self.now,
            new_id=lambda: f"00000000-0000-4000-8000-{next(numbers):012d}",
        )

    def build(self, *events: e.BuildEvent, build_id: str, org_id: str = "local") -> str:
        """Have a build that was requested, and what happened to it since."""
        request = BuildRequest(build_id=build_id, org_id=org_id, requested_by="operator", recipe=recipe_document())
        self.workflows.started.append(request)
        self.reads.apply(requested(request), *events)
        return build_id


def recipe_document() -> dict[str, object]:
    """Return the canonical document of the smallest sound recipe."""
    return load_catalog().get("minimal-bookworm").recipe.model_dump(mode="json", by_alias=True)


def requested(request: BuildRequest, at: datetime = NOW) -> e.BuildRequested:
    """Make the first event of a build."""
    return e.BuildRequested(
        build_id=request.build_id,
        org_id=request.org_id,
        at=at,
        requested_by=request.requested_by,
        recipe=request.recipe,
        recipe_digest=request.recipe_digest,
        input_digest=request.input_digest,
        retry_of=request.retry_of,
        rerun_of=request.rerun_of,
        lock=request.lock,
        concurrency_key=request.concurrency_key,
        why=request.why,
    )


def failed(build_id: str, *problems: Problem, org_id: str = "local") -> e.BuildFailed:
    """Make a failure in the boot step."""
    found = problems or (Problem(code="boot.no_agent", message="the guest agent never answered"),)
    until = NOW + timedelta(days=7)
    return e.BuildFailed(
        build_id=build_id, org_id=org_id, at=NOW, step="boot", generation=0, kind="verdict", problems=found,
        retry_until=until,
    )  # fmt: skip


def published(
    build_id: str, org_id: str = "local", *, verified: bool = True, lock: bool = False
) -> e.ArtifactsPublished:
    """Have both images of a build in the object store, and the list of its very packages if wanted."""
    verification = "verified" if verified else "unverified"
    artifacts = tuple(
        Artifact.model_validate(
            {
                "kind": kind,
                "name": f"web.{kind}",
                "blob": {"digest": digest * 32, "bytes": 300 << 20},
                "verification": verification,
            }
        )
        for kind, digest in (("qcow2", "ab"), ("iso", "cd"))
    )
    if lock:
        artifacts += (Artifact(kind="manifest", name=LOCK, blob=Blob(digest="ef" * 32, bytes=5)),)
    return e.ArtifactsPublished(build_id=build_id, org_id=org_id, at=NOW, generation=0, artifacts=artifacts)
