import json
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import activity, workflow

from cli.history import History, find_divergence, read_history
from domain.errors import Verdict

RECORDED = (Path(__file__).parent / "histories" / "two_activities.json").read_text()
SOON = timedelta(seconds=5)


@activity.defn
async def one() -> int:
    return 1


@activity.defn
async def two() -> int:
    return 2


@workflow.defn(name="Small")
class AsRecorded:
    @workflow.run
    async def run(self) -> int:
        await workflow.execute_activity(one, start_to_close_timeout=SOON)
        await workflow.execute_activity(two, start_to_close_timeout=SOON)
        return 3


@workflow.defn(name="Small")
class Swapped:
    @workflow.run
    async def run(self) -> int:
        await workflow.execute_activity(two, start_to_close_timeout=SOON)
        await workflow.execute_activity(one, start_to_close_timeout=SOON)
        return 3


@workflow.defn(name="Small")
class WaitsFirst:
    @workflow.run
    async def run(self) -> int:
        await workflow.sleep(1)
        return await workflow.execute_activity(one, start_to_close_timeout=SOON)


@workflow.defn(name="Small")
class EndsEarly:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity(one, start_to_close_timeout=SOON)


@workflow.defn(name="Small")
class GoesOn:
    @workflow.run
    async def run(self) -> int:
        for _ in range(2):
            await workflow.execute_activity(one if _ == 0 else two, start_to_close_timeout=SOON)
        return await workflow.execute_activity(two, start_to_close_timeout=SOON)


@workflow.defn(name="Small")
class Breaks:
    @workflow.run
    async def run(self) -> int:
        raise ValueError("a bug of today")


@workflow.defn
class Other:
    @workflow.run
    async def run(self) -> None: ...


@pytest.fixture
def history() -> History:
    return read_history(RECORDED)


async def test_code_that_did_not_change_replays(history: History) -> None:
    assert await find_divergence(history, [AsRecorded]) is None


@pytest.mark.parametrize(
    ("code", "event_id", "expected", "found"),
    [
        (Swapped, 5, "ActivityTaskScheduled 'one'", "Activity 'two'"),
        (WaitsFirst, 5, "ActivityTaskScheduled 'one'", "timer, a command that the history does not have here"),
        (EndsEarly, 11, "ActivityTaskScheduled 'two'", "complete workflow, a command that the history does not"),
        (GoesOn, 17, "WorkflowExecutionCompleted", "activity, a command that the history does not have here"),
        (Breaks, 4, "WorkflowTaskCompleted", "raised: a bug of today"),
    ],
)
async def test_code_that_changed_is_told_with_the_event_where_it_parts(
    history: History, code: type, event_id: int, expected: str, found: str
) -> None:
    divergence = await find_divergence(history, [code])
    assert divergence is not None
    assert (divergence.event_id, divergence.expected) == (event_id, expected)
    assert divergence.found.startswith(found)


async def test_a_history_of_an_unknown_workflow_names_the_known_ones(history: History) -> None:
    with pytest.raises(Verdict) as refusal:
        await find_divergence(history, [Other])
    assert refusal.value.problems[0].suggestions == ("Other",)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"events":[]}', '{"events":[{"eventType":"X"}]}', "\x00", "7"])
def test_what_is_no_history_is_refused(text: str) -> None:
    with pytest.raises(Verdict, match=r"history\.unreadable"):
        read_history(text)


async def test_a_history_whose_beginning_is_missing_is_refused_before_the_sdk_sees_it() -> None:
    tail = json.loads(RECORDED)
    tail["events"] = tail["events"][1:]
    with pytest.raises(Verdict, match=r"history\.unreadable"):
        read_history(json.dumps(tail))
