"""The page of a test run in the Temporal UI says of the run what its tool says."""

from datetime import timedelta

import pytest

from domain.job import job_of
from domain.test_run.commands import AnyTestRunCommand, BindMachine, ReadyMachine, RequestRun, StartCase
from domain.test_run.inputs import RunRequest
from domain.test_run.state import RunState
from service.test_run_view import run_view
from tests.fakes.factory import NOW
from tests.fakes.suites import FakeTests, ended_case, plan_of_cases
from workflows.test_run_board import page

BOUND = BindMachine(slot="primary", vm_id="v1", owned=True)
READY = ReadyMachine(slot="primary", seconds=4.0, accelerator="tcg")


def after(*commands: AnyTestRunCommand) -> RunState:
    """A run of two cases, to which these happened."""
    tests = FakeTests({}, {})
    request = RunRequest(
        run_id="r1", org_id="o", requested_by="me", input_digest="d", plan=plan_of_cases("boot", "web*")
    )
    tests.tell("r1", RequestRun(request=request), *commands)
    return tests.runs["r1"]


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        ((), "pending, waiting for primary, 0 %"),
        ((BOUND,), "booting, waiting for primary, 0 %"),
        ((BOUND, READY, StartCase(case="boot")), "running, boot, 0 %"),
        ((BOUND, READY, *ended_case("boot"), StartCase(case="web*")), "running, web*, 50 %"),
    ],
)
@pytest.mark.parametrize("usual", [None, 90.0])
def test_the_page_tells_state_case_percentage_and_end_as_the_tool_does(
    commands: tuple[AnyTestRunCommand, ...], words: str, usual: float | None
) -> None:
    state, now = after(*commands), NOW + timedelta(seconds=30)
    previous = None if usual is None else state.model_copy(update={"seconds": usual})
    told = job_of(run_view(state, now=now, previous=previous)).words
    assert told.startswith(words)
    assert ("expected to end" in told) == (usual is not None)
    assert f"**{told}** — as of" in page(state, usual, now).replace("\\", "")


def test_the_page_of_a_run_that_ended_tells_its_verdict() -> None:
    state = after(BOUND, READY, *ended_case("boot"), *ended_case("web*"))
    ended = state.model_copy(update={"status": "passed"})
    assert "**Passed.** 2 of 2 cases passed." in page(ended, 90.0, NOW)
    assert "as of" not in page(ended, 90.0, NOW)
