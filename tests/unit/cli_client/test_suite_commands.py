"""The suite and test-run commands against tools that answer from lists."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.client import suites, test_runs
from cli.client.failures import ClientFailure, Unreachable, UsageFailure
from cli.client.test_ids import resolve_run, resolve_suite
from cli.client.test_run_view import follow_run
from cli.client.test_runs import Followed, Reports
from domain.errors import Problem
from tests.fakes.tools import BUILD_ID, FakeTools
from tests.unit.cli_client.test_commands import Screen

RUN_ID = "7c1c3f0e-8a51-4a3c-9d55-0b6f0e2a7c11"
SUITE_ID = "8d1c3f0e-8a51-4a3c-9d55-0b6f0e2a7c11"
AT = "2030-01-02T03:04:05Z"


def run_answer(**changes: object) -> dict[str, Any]:
    view: dict[str, Any] = {
        "run_id": RUN_ID,
        "workflow_id": f"test-run-{RUN_ID}",
        "name": "smoke",
        "status": "running",
        "version": 3,
        "kind": "suite",
        "created_at": AT,
        "updated_at": AT,
        "counts": {"total": 2, "passed": 1, "failed": 0, "error": 0, "skipped": 0},
        "progress": {"done": 1, "total": 2, "doing": "web", "elapsed_seconds": 9.0},
        "machines": [{"slot": "primary", "vm_id": "v1", "image": "web.qcow2", "ready_seconds": 21.0}],
        "cases": [case("boot@primary", "passed", passed=3), case("web", "running")],
    }
    return view | changes


def case(name: str, status: str, **changes: object) -> dict[str, Any]:
    return {"name": name, "kind": "case", "slot": "primary", "status": status, "seconds": 2.0, **changes}


def failed_answer() -> dict[str, Any]:
    result = {
        "slot": "primary",
        "description": "port 80 listens",
        "type": "port_listening",
        "passed": False,
        "expected": "listening",
        "found": "nothing\x1b]0;owned\x07 [red]listens[/red]",
        "command": "ss -l",
    }
    return run_answer(
        status="failed",
        version=9,
        progress=None,
        seconds=50.0,
        cases=[case("web", "failed", failed=1, results=[result])],
        comparison={"previous_run_id": "0" * 8, "summary": "1 newly failing"},
        files=[{"name": "report.html", "url": "http://127.0.0.1:1/x", "expires_at": AT}],
    )


def suite_answer(**changes: object) -> dict[str, Any]:
    view: dict[str, Any] = {
        "suite_id": SUITE_ID,
        "name": "smoke",
        "version": 2,
        "slots": [{"name": "primary", "description": "", "required": True, "memory": 1024, "cpus": 1}],
        "cases": ["web"],
        "readiness": {"ready": False, "problems": [{"code": "suite.unbound_slot", "message": "no image"}]},
        "document": {"parameters": [{"name": "port", "default": 80}, {"name": "tls", "default": False}]},
    }
    return view | changes


def suite_page(*names: str) -> dict[str, Any]:
    rows = [
        {"suite_id": f"{i}d1c3f0e-8a51-4a3c-9d55-0b6f0e2a7c11", "name": name, "description": "", "slots": ["primary"],
         "bound": [], "cases": 1, "version": 1, "created_at": AT, "updated_at": AT}
        for i, name in enumerate(names, 1)
    ]  # fmt: skip
    return {"suites": rows, "examples": [{"name": "smoke", "description": "an example"}]}


async def run_suite(tools: FakeTools, screen: Screen, **more: Any) -> int:
    options: dict[str, Any] = {
        "given": SUITE_ID,
        "ask": {"cases": None, "tags": None, "hold_minutes": 0},
        "parameters": (),
        "rerun": None,
        "wait": False,
        "reports": Reports(),
        "followed": Followed(),
    }
    return await suites.run_suite(tools, screen.output, **(options | more))


async def test_a_suite_is_found_by_name_by_its_first_digits_and_as_latest() -> None:
    tools = FakeTools(list_test_suites=suite_page("smoke", "web", "smoke"))
    assert (await resolve_suite(tools, "web"))[0] == "2"
    assert (await resolve_suite(tools, "smoke"))[0] == "1"
    assert (await resolve_suite(tools, "latest"))[0] == "1"
    assert (await resolve_suite(tools, "3d1"))[0] == "3"
    with pytest.raises(ClientFailure, match=r"suite\.not_found"):
        await resolve_suite(tools, "nothing")


async def test_a_run_by_the_beginning_of_several_ids_is_ambiguous() -> None:
    rows = [
        {"run_id": RUN_ID[:-1] + digit, "kind": "suite", "name": "s", "target": {"kind": "suite", "id": "s"},
         "status": "passed", "created_at": AT, "updated_at": AT, "counts": {}}
        for digit in "12"
    ]  # fmt: skip
    with pytest.raises(UsageFailure, match=r"client\.ambiguous"):
        await resolve_run(FakeTools(list_test_runs={"runs": rows}), "7c1c")
    assert await resolve_run(FakeTools(list_test_runs={"runs": rows}), "latest") == RUN_ID[:-1] + "1"


async def test_a_suite_file_is_sent_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "suite.yaml"
    file.write_text("name: smoke # a comment\n")
    tools, screen = FakeTools(create_test_suite=suite_answer()), Screen()
    assert await suites.create_suite(tools, screen.output, document=str(file), request_key="k") == 0
    assert tools.asked == [("create_test_suite", {"suite": "name: smoke # a comment\n", "request_key": "k"})]
    assert "no image" in screen.out
    with pytest.raises(UsageFailure, match=r"suite\.unreadable"):
        await suites.create_suite(tools, screen.output, document=str(tmp_path / "no.yaml"), request_key=None)


async def test_targets_are_told_as_they_were_given() -> None:
    tools = FakeTools(update_test_suite_targets=suite_answer())
    given = ["primary=latest-verified:demo:iso", "client=image:abc", "server=-"]
    assert await suites.bind_targets(tools, Screen().output, given=SUITE_ID, targets=given) == 0
    targets = {"primary": "latest-verified:demo:iso", "client": "image:abc", "server": None}
    assert tools.asked[0][1]["targets"] == targets
    with pytest.raises(UsageFailure, match=r"client\.no_pair"):
        await suites.bind_targets(tools, Screen().output, given=SUITE_ID, targets=["primary"])


async def test_a_status_ends_with_one_while_the_suite_cannot_be_run() -> None:
    tools = FakeTools(get_test_suite_status=suite_answer())
    assert await suites.show_suite(tools, Screen().output, given=SUITE_ID, tool="get_test_suite_status") == 1


async def test_parameters_take_the_type_of_their_default() -> None:
    tools = FakeTools(get_test_suite=suite_answer(), run_test_suite=run_answer())
    await run_suite(tools, Screen(), parameters=["port=8080", "tls=true", "x=1"])
    assert tools.asked[-1][1]["parameters"] == {"port": 8080, "tls": True, "x": "1"}


async def test_waiting_ends_with_what_was_expected_and_found_and_one() -> None:
    tools = FakeTools(run_test_suite=run_answer(), get_test_run=[run_answer(), failed_answer()])
    screen, followed = Screen(), Followed()
    assert await run_suite(tools, screen, wait=True, followed=followed) == 1
    assert "nothing [red]listens[/red]" in screen.out
    assert "\x1b" not in screen.out
    assert "passed boot@primary 2.0 s" in screen.out
    assert "1 newly failing" in screen.out
    assert followed.run_id == RUN_ID
    assert "test-run cancel" in str(followed.farewell())


@pytest.mark.parametrize(("status", "code"), [("passed", 0), ("failed", 1), ("error", 75), ("cancelled", 1)])
async def test_the_exit_code_tells_wrong_images_from_a_factory_that_could_not(status: str, code: int) -> None:
    tools = FakeTools(run_test_suite=run_answer(), get_test_run=run_answer(status=status, progress=None))
    assert await run_suite(tools, Screen(), wait=True) == code


async def test_json_is_one_document_on_standard_output() -> None:
    tools = FakeTools(run_test_suite=run_answer(), get_test_run=failed_answer())
    screen = Screen(as_json=True)
    await run_suite(tools, screen, wait=True)
    assert json.loads(screen.out)["status"] == "failed"


async def test_a_short_absence_of_the_factory_is_waited_for() -> None:
    away = Unreachable(Problem(code="factory.unreachable", message="away", retryable=True))
    tools = FakeTools(get_test_run=[away, run_answer(status="passed", progress=None)])

    async def no_pause(_: float) -> None:
        return

    final = await follow_run(tools, RUN_ID, Screen().output.out, pause=no_pause)
    assert final["status"] == "passed"


async def test_runs_are_listed_with_what_failed() -> None:
    row = {"run_id": RUN_ID, "kind": "suite", "name": "smoke", "target": {"kind": "suite", "id": "s"},
           "status": "failed", "created_at": AT, "updated_at": AT, "counts": {"total": 2, "passed": 1},
           "failure": "web: nothing listens"}  # fmt: skip
    screen = Screen()
    tools = FakeTools(list_test_runs={"runs": [row], "next_cursor": "c"})
    assert await test_runs.list_runs(tools, screen.output, limit=5, status=None, cursor=None) == 0
    assert "web: nothing listens" in screen.out
    assert "--cursor c" in screen.out


async def test_a_report_that_is_not_there_is_a_temporary_failure() -> None:
    tools = FakeTools(get_test_run=run_answer())
    reports = Reports(junit=Path("/nowhere/junit.xml"))
    with pytest.raises(ClientFailure, match=r"test_run\.no_report") as failure:
        await test_runs.show_run(tools, Screen().output, given=RUN_ID, reports=reports)
    assert failure.value.exit_code == 75


async def test_either_a_build_or_a_machine_is_verified() -> None:
    tools = FakeTools(run_verification=run_answer(kind="verification"))
    options: dict[str, Any] = {"hold": 0, "wait": False, "reports": Reports(), "followed": Followed()}
    with pytest.raises(UsageFailure, match=r"client\.what"):
        await test_runs.verify_target(tools, Screen().output, build=None, vm=None, **options)
    assert await test_runs.verify_target(tools, Screen().output, build=BUILD_ID, vm=None, **options) == 0
    assert tools.asked[0][1]["build_id"] == BUILD_ID


async def test_cancelling_asks_first() -> None:
    with pytest.raises(UsageFailure, match=r"client\.needs_confirmation"):
        await test_runs.cancel_run(FakeTools(), Screen().output, given=RUN_ID, yes=False)
    tools = FakeTools(cancel_test_run=run_answer(status="cancelled"))
    assert await test_runs.cancel_run(tools, Screen().output, given=RUN_ID, yes=True) == 0


async def test_suites_are_listed_with_the_examples() -> None:
    screen = Screen()
    tools = FakeTools(list_test_suites=suite_page("web"))
    assert await suites.list_suites(tools, screen.output, limit=5, cursor=None) == 0
    assert "0 of 1" in screen.out
    assert "smoke: an example" in screen.out
