"""The vm commands against tools that answer from lists."""

import json
from pathlib import Path
from typing import Any, Self

import pytest

from cli.client import vm_actions as actions
from cli.client.failures import ClientFailure, TransferFailed, Unreachable, UsageFailure
from cli.client.vm_ids import resolve_snapshot, resolve_vm
from cli.client.vm_view import follow_vm
from domain.errors import Problem
from tests.fakes.tools import BUILD_ID, FakeTools
from tests.unit.cli_client.test_commands import Screen

VM_ID = "9e1c3f0e-8a51-4a3c-9d55-0b6f0e2a7c11"
AT = "2030-01-02T03:04:05Z"


def vm_answer(**changes: object) -> dict[str, Any]:
    view: dict[str, Any] = {
        "vm_id": VM_ID,
        "workflow_id": f"vm-{VM_ID}",
        "name": "web",
        "status": "running",
        "ready": True,
        "version": 5,
        "image": image(),
        "memory": 512,
        "cpus": 1,
        "firmware": "uefi",
        "host": "one",
        "accelerator": "tcg",
        "ready_seconds": 21.0,
        "via": "agent",
        "addresses": ["10.0.0.5\x1b[2J"],
        "forwards": [{"guest_port": 80, "host_port": 40000}],
        "expires_at": AT,
        "next": "Use get_console_link; delete_vm when done.",
    }
    return view | changes


def image(verification: str = "verified") -> dict[str, Any]:
    return {
        "source": "build",
        "source_id": BUILD_ID,
        "name": "web.qcow2",
        "format": "qcow2",
        "sha256": "ab" * 32,
        "verification": verification,
    }


def order(command: str, status: str, *problems: dict[str, Any]) -> dict[str, Any]:
    return {
        "command": command,
        "status": status,
        "requested_by": "me",
        "accepted_at": AT,
        "problems": list(problems),
    }


def page(*names: str) -> dict[str, Any]:
    rows = [
        {
            "vm_id": f"{number}{VM_ID[1:]}",
            "name": name,
            "status": "running",
            "ready": True,
            "image": "web.qcow2",
            "verification": "verified",
            "memory": 512,
            "cpus": 1,
            "created_at": AT,
            "updated_at": AT,
        }
        for number, name in enumerate(names, 1)
    ]
    return {"vms": rows}


async def no_pause(_: float) -> None:
    return None


async def create(tools: FakeTools, screen: Screen, **more: Any) -> int:
    options: dict[str, Any] = {
        "build": BUILD_ID,
        "wish": {"image_id": None, "memory": 512},
        "request_key": None,
        "wait": False,
        "followed": actions.Followed(),
    }
    return await actions.create_vm(tools, screen.output, **(options | more))


async def test_a_machine_is_found_by_name_by_its_first_digits_and_as_latest() -> None:
    tools = FakeTools(list_vms=page("web", "db", "web"))
    assert (await resolve_vm(tools, "db"))[0] == "2"
    assert (await resolve_vm(tools, "web"))[0] == "1"
    assert (await resolve_vm(tools, "latest"))[0] == "1"
    assert (await resolve_vm(tools, "3e1"))[0] == "3"
    assert await resolve_vm(tools, f"vm-{VM_ID}") == VM_ID
    with pytest.raises(ClientFailure, match=r"vm\.not_found"):
        await resolve_vm(tools, "nothing")


async def test_the_beginning_of_several_ids_is_ambiguous() -> None:
    rows = page("a", "b")
    for row in rows["vms"]:
        row["vm_id"] = f"abc{row['vm_id'][3:]}"
    with pytest.raises(UsageFailure, match=r"vm\.ambiguous"):
        await resolve_vm(FakeTools(list_vms=rows), "abc")


async def test_a_snapshots_name_stands_for_the_newest_of_that_name() -> None:
    rows = [
        {"snapshot_id": f"{n}{VM_ID[1:]}", "name": "before", "taken_at": AT, "memory": True, "bytes": 1} for n in (1, 2)
    ]
    tools = FakeTools(list_snapshots={"vm_id": VM_ID, "snapshots": rows})
    assert (await resolve_snapshot(tools, VM_ID, "before"))[0] == "2"
    assert (await resolve_snapshot(tools, VM_ID, "1e1"))[0] == "1"
    with pytest.raises(ClientFailure, match=r"snapshot\.not_found"):
        await resolve_snapshot(tools, VM_ID, "after")


async def test_creating_says_at_once_what_was_accepted() -> None:
    screen = Screen()
    tools = FakeTools(create_vm=vm_answer(status="pending", ready=False, warning="The image is UNVERIFIED: x."))
    assert await create(tools, screen) == 0
    asked = tools.asked[0][1]
    assert (asked["build_id"], asked["memory"]) == (BUILD_ID, 512)
    assert "UNVERIFIED" in screen.out


async def test_creating_needs_a_build_or_an_image() -> None:
    with pytest.raises(UsageFailure, match=r"client\.what"):
        await create(FakeTools(), Screen(), build=None)


async def test_a_machine_that_may_have_been_heard_of_can_be_asked_for_again_safely() -> None:
    away = Unreachable(Problem(code="factory.unreachable", message="away", retryable=True, next="Start it."))
    tools = FakeTools(create_vm=away)
    with pytest.raises(Unreachable) as failure:
        await create(tools, Screen())
    assert f"--request-key {tools.asked[0][1]['request_key']}" in str(failure.value.problems[0].next)


async def test_waiting_ends_when_the_guest_answers() -> None:
    screen = Screen()
    booting = vm_answer(ready=False, version=4)
    tools = FakeTools(create_vm=vm_answer(status="pending", ready=False, version=1), get_vm=[booting, vm_answer()])
    assert await create(tools, screen, wait=True) == 0
    assert "booting" in screen.out
    assert "the guest answers" in screen.out


@pytest.mark.parametrize(("retryable", "code"), [(False, 1), (True, 75)])
async def test_a_machine_that_failed_tells_scripts_whether_trying_again_may_help(retryable: bool, code: int) -> None:
    problem = {"code": "image.broken", "message": "no", "retryable": retryable}
    tools = FakeTools(
        create_vm=vm_answer(version=1), get_vm=vm_answer(status="failed", ready=False, problems=[problem])
    )
    assert await create(tools, Screen(), wait=True) == code


async def test_following_passes_over_what_was_before_the_command_and_a_restart_of_the_factory() -> None:
    away = Unreachable(Problem(code="factory.unreachable", message="away", retryable=True))
    stopping = vm_answer(status="stopping", version=7, commands=[order("stop", "running")])
    stopped = vm_answer(status="stopped", ready=False, version=8, commands=[order("stop", "done")])
    tools = FakeTools(get_vm=[vm_answer(version=5), away, stopping, stopped])
    screen = Screen()
    final = await follow_vm(tools, VM_ID, screen.output.out, after_version=6, pause=no_pause)
    assert final["status"] == "stopped"
    assert "stopping" in screen.out


async def test_a_command_that_could_not_be_done_ends_with_one_and_says_why() -> None:
    problem = {"code": "vm.wrong_state", "message": "It is stopped."}
    ended = vm_answer(version=9, commands=[order("snapshot", "failed", problem)])
    screen = Screen()
    tools = FakeTools(snapshot_vm=vm_answer(version=8), get_vm=ended)
    code = await actions.command_vm(
        tools,
        screen.output,
        tool="snapshot_vm",
        given=VM_ID,
        arguments={"name": "x"},
        wait=True,
        followed=actions.Followed(),
    )
    assert code == 1
    assert "It is stopped." in screen.out


async def test_deleting_without_anyone_to_ask_wants_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    tools = FakeTools(delete_vm=vm_answer(status="deleting"))
    options: dict[str, Any] = {"given": VM_ID, "wait": False, "followed": actions.Followed()}
    with pytest.raises(UsageFailure, match=r"client\.needs_confirmation"):
        await actions.delete_vm(tools, Screen().output, yes=False, **options)
    assert await actions.delete_vm(tools, Screen().output, yes=True, **options) == 0
    assert len(tools.asked) == 1


async def test_a_program_ends_the_command_with_its_own_status() -> None:
    screen = Screen()
    answer = {"vm_id": VM_ID, "status": 3, "stdout": "out\x1b[2J\n", "stderr": "err", "via": "agent", "seconds": 0.1}
    tools = FakeTools(run_vm_command=answer)
    code = await actions.run_program(tools, screen.output, given=VM_ID, words=["cat", "-v", "x"], timeout=5)
    assert (code, screen.out) == (3, "out\n")
    assert screen.notes == "err\n"
    assert tools.asked[0][1]["command"] == ["cat", "-v", "x"]


async def test_a_console_prints_its_link_alone() -> None:
    link = {"vm_id": VM_ID, "channel": "serial", "view_only": True, "url": "http://x/console/y", "expires_at": AT}
    screen = Screen()
    tools = FakeTools(get_console_link={**link, "note": "n"})
    assert await actions.console_link(tools, screen.output, given=VM_ID, serial=True, view_only=True) == 0
    assert screen.out == "http://x/console/y\n"
    assert tools.asked[0][1] == {"vm_id": VM_ID, "channel": "serial", "view_only": True}


async def test_lists_are_tables_or_json() -> None:
    screen = Screen()
    await actions.list_vms(FakeTools(list_vms=page("web")), screen.output, query={"limit": 20})
    assert "running ✓" in screen.out
    screen = Screen(as_json=True)
    await actions.list_vms(FakeTools(list_vms=page("web")), screen.output, query={"limit": 20})
    assert json.loads(screen.out)["vms"][0]["name"] == "web"
    screen = Screen()
    await actions.list_vms(FakeTools(list_vms={"vms": []}), screen.output, query={"limit": 20})
    assert "vm create" in screen.out


async def test_a_deleted_machine_names_its_histories_and_without_one_none_is_saved(tmp_path: Path) -> None:
    history = {"kind": "history", "name": "history-20300101T000000.json.gz", "bytes": 7, "sha256": "ee" * 32}
    history |= {"verification": "unverified", "url": "http://x/y", "expires_at": AT}
    screen = Screen()
    tools = FakeTools(get_vm=[vm_answer(status="deleted", histories=[history]), vm_answer(status="deleted")])
    await actions.show_vm(tools, screen.output, given=VM_ID)
    assert "histories: history-20300101T000000.json.gz" in screen.out
    assert f"openfactory vm show {VM_ID} --histories FOLDER" in screen.out
    with pytest.raises(TransferFailed, match=r"vm\.no_history"):
        await actions.show_vm(tools, Screen().output, given=VM_ID, histories=tmp_path)


async def test_what_a_guest_says_cannot_steer_the_terminal() -> None:
    screen = Screen()
    await actions.show_vm(
        FakeTools(get_vm=vm_answer(reason="\x1b]0;owned\x07[red]x[/red]")), screen.output, given=VM_ID
    )
    assert "\x1b" not in screen.out
    assert "[red]x[/red]" in screen.out
    assert "openfactory vm delete" in screen.out


async def test_a_picture_is_not_written_over_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = {"vm_id": VM_ID, "key": "k", "url": "http://x/y", "width": 1, "height": 1, "bytes": 1}
    served = b"png"

    class Answer:
        is_success = True
        content = served

    class Client:
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            return None

        async def get(self, _: str) -> Answer:
            return Answer()

    monkeypatch.setattr(actions, "open_client", Client)
    tools, screen = FakeTools(get_vm_screenshot=view), Screen()
    assert await actions.screenshot(tools, screen.output, given=VM_ID, path=tmp_path / "a.png") == 0
    assert (tmp_path / "a.png").read_bytes() == served
    with pytest.raises(UsageFailure, match=r"download\.bad_folder"):
        await actions.screenshot(tools, screen.output, given=VM_ID, path=tmp_path)
