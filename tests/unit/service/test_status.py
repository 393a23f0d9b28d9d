"""Looking at builds: waiting, progress, sizes, and what is not told."""

from datetime import datetime, timedelta

import pytest

from domain.budget import LONG_VIEW_BYTES, size_of
from domain.build import events as e
from domain.build.progress import StepDuration
from domain.errors import Problem, Verdict
from domain.verification import AssertionResult, VerificationReport
from domain.views import Progress
from infra.ports import LogRecord
from service.admission.credentials import OPERATOR
from service.build_queries import StatusQuery, get_build_status, list_builds
from tests.fakes.factory import NOW, STRANGER, World, failed
from workflows.slot_models import QueuePlace

ID = "11111111-1111-4111-8111-111111111111"


def started(step: str, seconds_ago: float = 0) -> e.StepStarted:
    return e.StepStarted.model_validate(
        {"build_id": ID, "org_id": "local", "at": NOW - timedelta(seconds=seconds_ago), "step": step, "generation": 0}
    )


def completed(step: str, seconds: float = 10.0) -> e.StepCompleted:
    return e.StepCompleted.model_validate(
        {
            "build_id": ID,
            "org_id": "local",
            "at": NOW,
            "step": step,
            "generation": 0,
            "seconds": seconds,
            "cached": False,
            "summary": "done",
        }
    )


def report(passed: int, failed: int, found: str = "x") -> VerificationReport:
    results = [
        AssertionResult(
            suite="recipe",
            description=f"claim {i}",
            type="file_exists",
            passed=i >= failed,
            expected="there",
            found=found,
        )
        for i in range(passed + failed)
    ]
    return VerificationReport(
        artifact="qcow2", firmware="uefi", accelerator="tcg", boot_seconds=20.0, results=tuple(results)
    )


def verified(*reports: VerificationReport) -> e.BuildVerified:
    return e.BuildVerified(build_id=ID, org_id="local", at=NOW, generation=0, reports=reports)


async def test_a_wait_ends_with_the_next_event(world: World) -> None:
    world.build(build_id=ID)
    world.reads.arriving = [started("resolve")]
    view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery(wait_s=25))
    assert (view.version, view.status) == (2, "building")
    assert world.reads.waits == [(ID, 2, 2.0)]


async def test_a_version_that_is_passed_already_is_not_waited_for(world: World) -> None:
    world.build(started("resolve"), build_id=ID)
    view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery(wait_s=25, since_version=1))
    assert view.version == 2
    assert world.reads.waits == []


LATER = {"build_id": ID, "org_id": "local", "at": NOW + timedelta(days=7)}


@pytest.mark.parametrize(
    "later",
    [
        (e.RetryWindowClosed.model_validate(LATER),),
        (e.BuildCancelled.model_validate({**LATER, "requested_by": "me", "reason": "no"}),),
        (e.RetryWindowClosed.model_validate(LATER), e.ArtifactsExpired.model_validate({**LATER, "reason": "old"})),
    ],
)
async def test_what_becomes_of_a_build_after_its_end_is_not_time_that_it_took(
    world: World, later: tuple[e.BuildEvent, ...]
) -> None:
    world.build(started("resolve"), failed(ID), build_id=ID)
    before = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    world.reads.apply(*later)
    after = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    assert before.progress is not None
    assert after.progress is not None
    assert after.progress.elapsed_seconds == before.progress.elapsed_seconds


@pytest.mark.parametrize(
    "last",
    [
        failed(ID),
        e.BuildCompleted(build_id=ID, org_id="local", at=NOW, seconds=9.0),
        e.BuildCancelled(build_id=ID, org_id="local", at=NOW, requested_by="x", reason="y"),
    ],
    ids=["failed", "completed", "cancelled"],
)
async def test_a_build_at_rest_is_answered_at_once(world: World, last: e.BuildEvent) -> None:
    world.build(last, build_id=ID)
    await get_build_status(world.factory, OPERATOR, ID, StatusQuery(wait_s=25))
    assert world.reads.waits == []


async def test_who_waits_is_told_about_progress(world: World) -> None:
    world.build(started("assemble"), build_id=ID)
    world.logs.records[ID] = [LogRecord(at=1, kind="progress", step="assemble", text="packing", percent=40)]
    world.reads.arriving = [completed("assemble")]
    told: list[Progress] = []

    async def tell(progress: Progress) -> None:
        told.append(progress)

    await get_build_status(world.factory, OPERATOR, ID, StatusQuery(wait_s=25), on_progress=tell)
    assert [(p.step, p.text) for p in told] == [("assemble", "packing")]


async def test_an_accepted_id_is_never_unknown(world: World) -> None:
    world.build(build_id=ID)
    del world.reads.builds[ID]
    view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    assert (view.visible, view.status, view.version) == (False, "pending", 0)


@pytest.mark.parametrize("build_id", ["", "nonsense", ID.upper() + " ", "'; DROP TABLE builds", "\x00" * 36])
async def test_what_is_no_id_looks_like_an_absent_one(world: World, build_id: str) -> None:
    with pytest.raises(Verdict, match=r"build\.not_found"):
        await get_build_status(world.factory, OPERATOR, build_id, StatusQuery())


async def test_another_organizations_build_looks_absent(world: World) -> None:
    world.build(build_id=ID)
    with pytest.raises(Verdict, match=r"build\.not_found"):
        await get_build_status(world.factory, STRANGER, ID, StatusQuery())
    assert (await list_builds(world.factory, STRANGER)).builds == ()


async def test_progress_grows_with_the_steps_and_is_whole_only_at_the_end(world: World) -> None:
    world.build(build_id=ID)
    seen: list[float] = []
    for step in ("resolve", "base_layer", "package_layer", "configuration_layer", "assemble", "boot", "verify"):
        world.reads.apply(started(step), completed(step))
        view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
        assert view.progress is not None
        seen.append(view.progress.percent)
    assert seen == sorted(set(seen))
    assert seen[-1] < 100
    world.reads.apply(e.BuildCompleted(build_id=ID, org_id="local", at=NOW, seconds=9.0))
    done = (await get_build_status(world.factory, OPERATOR, ID, StatusQuery())).progress
    assert done is not None
    assert (done.percent, done.elapsed_seconds) == (100.0, 9.0)


async def test_the_rest_is_expected_only_from_earlier_builds(world: World) -> None:
    world.build(started("resolve"), completed("resolve"), started("base_layer"), build_id=ID)
    view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    assert view.progress is not None
    assert view.progress.expected_seconds is None
    world.reads.step_durations = (
        StepDuration(step="base_layer", cached=False, seconds=100.0, samples=1),
        StepDuration(step="base_layer", cached=True, seconds=1.0, samples=5),
    )
    view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    assert view.progress is not None
    assert view.progress.expected_seconds is not None
    assert view.progress.expected_seconds < 300


async def test_the_expected_end_is_the_same_until_the_build_moves_on(world: World) -> None:
    world.build(started("base_layer"), build_id=ID)
    world.reads.step_durations = (StepDuration(step="base_layer", cached=False, seconds=300.0, samples=1),)
    ends: list[datetime | None] = []
    for seconds in (0, 60, 120):
        world.now = NOW + timedelta(seconds=seconds)
        view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
        assert view.progress is not None
        ends.append(view.progress.expected_end)
    assert len(set(ends)) == 1
    world.logs.records[ID] = [
        LogRecord(at=round(world.now.timestamp() * 1000), kind="progress", step="base_layer", text="half", percent=50)
    ]
    slow = (await get_build_status(world.factory, OPERATOR, ID, StatusQuery())).progress
    assert slow is not None
    assert slow.expected_end is not None
    assert ends[0] is not None
    assert (slow.expected_end - ends[0]).total_seconds() == -30  # 150 s more from now, where 180 s were left


async def test_a_build_that_failed_before_its_first_step_names_the_step(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    assert view.progress is not None
    assert view.progress.step == "boot"
    [row] = (await list_builds(world.factory, OPERATOR)).builds
    assert (row.status, row.step) == ("failed", "boot")


async def test_a_log_that_cannot_be_read_does_not_hide_the_build(world: World) -> None:
    world.build(started("boot"), build_id=ID)
    world.logs.away = True
    assert (await get_build_status(world.factory, OPERATOR, ID, StatusQuery())).status == "testing"


async def test_concise_shows_what_failed_and_counts_the_rest(world: World) -> None:
    world.build(verified(report(passed=30, failed=2)), build_id=ID)
    view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    assert [(r.passed, r.failed, len(r.results)) for r in view.reports] == [(30, 2, 2)]
    assert view.cut is not None
    assert "30 assertion results" in view.cut
    full = await get_build_status(world.factory, OPERATOR, ID, StatusQuery(detail="full"))
    assert len(full.reports[0].results) == 32
    assert full.cut is None


async def test_a_huge_report_is_cut_passed_results_first(world: World) -> None:
    world.build(verified(report(passed=500, failed=3, found="y" * 5000)), build_id=ID)
    view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery(detail="full"))
    assert size_of(view) < LONG_VIEW_BYTES + 1000
    assert sum(not r.passed for r in view.reports[0].results) == 3
    assert view.cut is not None
    assert "all passed" in view.cut


async def test_what_a_guest_wrote_is_cleaned(world: World) -> None:
    nasty = "\x1b]0;title\x07\x1b[31mred\u202e\u200b"
    world.build(
        verified(report(passed=0, failed=1, found=nasty)),
        failed(ID, Problem(code="boot.failed", message=nasty)),
        build_id=ID,
    )
    view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    assert view.reports[0].results[0].found == "red"
    assert view.failure is not None
    assert view.failure.problems[0].message == "red"


async def test_lists_are_paged_newest_first_and_can_be_narrowed(world: World) -> None:
    ids = [f"11111111-1111-4111-8111-{i:012d}" for i in range(5)]
    for build_id in ids:
        world.build(build_id=build_id)
    world.reads.apply(failed(ids[0]))
    first = await list_builds(world.factory, OPERATOR, limit=3)
    rest = await list_builds(world.factory, OPERATOR, limit=3, cursor=first.next_cursor)
    assert [b.build_id for b in (*first.builds, *rest.builds)] == ids[::-1]
    assert rest.next_cursor is None
    narrowed = await list_builds(world.factory, OPERATOR, status="failed")
    assert [b.failure for b in narrowed.builds] == ["boot: the guest agent never answered"]


def waiting(world: World, position: int, seconds: float | None) -> str:
    build_id = world.build(build_id=ID)
    start = None if seconds is None else world.now + timedelta(seconds=seconds)
    place = QueuePlace(
        org_id="local", build_id=build_id, position=position, starts_at=start, reason="all hosts are at work"
    )
    world.workflows.queue = (place,)
    return build_id


async def test_a_build_that_waits_shows_its_place_and_when_it_will_probably_start(world: World) -> None:
    build_id = waiting(world, 3, 600)
    world.reads.step_durations = (StepDuration(step="resolve", cached=False, seconds=12, samples=3),)
    view = await get_build_status(world.factory, OPERATOR, build_id, StatusQuery())
    assert view.status == "pending"
    assert view.queue is not None
    assert (view.queue.position, view.queue.expected_start) == (3, world.now + timedelta(seconds=600))
    assert view.progress is not None
    assert view.progress.text == "place 3 in the queue: all hosts are at work"
    page = await list_builds(world.factory, OPERATOR)
    assert page.builds[0].queue == view.queue


async def test_how_long_a_build_has_waited_brings_its_expected_end_no_nearer(world: World) -> None:
    build_id = waiting(world, 1, 600)
    world.reads.step_durations = (StepDuration(step="resolve", cached=False, seconds=400, samples=3),)
    ends = set[datetime | None]()
    for seconds in (0, 100, 500):
        world.now = NOW + timedelta(seconds=seconds)
        view = await get_build_status(world.factory, OPERATOR, build_id, StatusQuery())
        assert view.progress is not None
        assert view.progress.expected_end is not None
        assert view.progress.expected_seconds == (view.progress.expected_end - world.now).total_seconds()
        ends.add(view.progress.expected_end)
    [end] = ends
    assert end is not None
    assert end > NOW + timedelta(seconds=1000)  # the turn, and then the whole build


async def test_a_start_that_is_overdue_is_expected_now(world: World) -> None:
    view = await get_build_status(world.factory, OPERATOR, waiting(world, 1, -30), StatusQuery())
    assert view.queue is not None
    assert view.queue.expected_start == world.now


async def test_a_queue_that_cannot_be_seen_hides_no_build(world: World) -> None:
    build_id = waiting(world, 1, None)
    world.workflows.away = True
    assert (await get_build_status(world.factory, OPERATOR, build_id, StatusQuery())).queue is None
    assert (await list_builds(world.factory, OPERATOR)).builds[0].queue is None


async def test_a_superseded_build_says_by_which(world: World) -> None:
    build_id = world.build(
        e.BuildCancelled(
            build_id=ID, org_id="local", at=world.now, requested_by="concurrency", reason="superseded by build b2"
        ),
        build_id=ID,
    )
    view = await get_build_status(world.factory, OPERATOR, build_id, StatusQuery())
    assert view.cancelled_because == "superseded by build b2"
