"""The whole stack with its real servers: started, refused twice, killed in every way, stopped."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.stack import leftovers
from tests.e2e.stack import Stack, running_stack
from tests.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DATA = {"postgres", "temporal", "s3"}


@pytest.fixture
def home() -> Generator[Path]:
    """A data folder with a path short enough for the sockets below it."""
    with tempfile.TemporaryDirectory(prefix="of-stack-") as folder:
        yield Path(folder) / "home"


def again(stack: Stack, part: str, before: int) -> int:
    """The process that replaces the one of `before`."""
    deadline = time.monotonic() + 60
    while (pid := stack.pid(part)) == before:
        assert time.monotonic() < deadline, f"{part} was not started again"
    return pid


def sockets_of_weed() -> set[Path]:
    """Those of every store on this machine; one that was killed elsewhere may have left its own."""
    return set(Path("/tmp").glob("seaweedfs-*.sock"))


def test_it_comes_up_tells_of_itself_and_leaves_nothing_behind(home: Path) -> None:
    others = sockets_of_weed()
    with running_stack(home) as stack:
        shown = json.loads(stack.run("status", "--json").stdout)
        assert shown["running"]
        assert {p["name"] for p in shown["parts"] if p["condition"] == "ready"} >= DATA
        assert shown["pss_bytes"] > sum(p["pss_bytes"] for p in shown["parts"])
        assert home.stat().st_mode & 0o077 == 0

        refused = Stack(home, free_port(), os.environ).run("up")
        assert refused.returncode == 1
        assert str(shown["state"]["pid"]) in refused.stderr
        assert shown["state"]["addresses"]["public"] in refused.stderr

        assert stack.process is not None
        stack.process.send_signal(signal.SIGINT)
        assert stack.process.wait(20) == 0  # the promise to whoever presses Ctrl-C
    assert leftovers.find(home, home / "run") == []
    ports = {str(port) for port in json.loads((home / "run" / "ports.json").read_text()).values()}
    assert [left for left in sockets_of_weed() - others if left.stem.rsplit("-", 1)[1] in ports] == []
    assert sorted(p.name for p in (home / "run").iterdir()) == ["ports.json", "supervisor.lock"]
    assert stack.run("status").returncode == 3


def test_servers_that_are_killed_come_back_and_the_rest_goes_on(home: Path) -> None:
    with running_stack(home) as stack:
        others = {name: stack.pid(name) for name in ("gateway", "mcp")}
        for name in sorted(DATA):
            before = stack.pid(name)
            stack.kill(name)
            assert again(stack, name, before) != before
        assert {name: stack.pid(name) for name in others} == others


def test_with_a_killed_fork_server_our_programs_begin_anew_and_no_machine_ends(home: Path) -> None:
    with running_stack(home) as stack:
        ours = {name: stack.pid(name) for name in ("core-worker", "host-worker", "projector", "mcp", "gateway")}
        others = {name: stack.pid(name) for name in (*DATA, "libvirt")}
        before = stack.pid("forkserver")
        stack.kill("forkserver")
        for name, pid in ours.items():
            assert again(stack, name, pid) != pid
        assert again(stack, "forkserver", before) != before
        assert {name: stack.pid(name) for name in others} == others
        assert json.loads(stack.run("whoami", "--json").stdout)["subject"] == "operator"


def test_a_killed_supervisor_leaves_nothing_and_the_next_takes_over(home: Path) -> None:
    with running_stack(home) as stack:
        assert stack.process is not None
        stack.process.send_signal(signal.SIGKILL)
        stack.process.wait()
        deadline = time.monotonic() + 5
        while left := leftovers.find(home, home / "run"):
            assert time.monotonic() < deadline, f"still there: {left}"
        assert "no stack runs" in stack.run("down").stdout
        stack.start()
        assert "stopped" in stack.run("down").stdout
        assert stack.process.wait(5) == 0


def test_two_stacks_run_side_by_side(home: Path) -> None:
    with ExitStack() as both:
        stacks = [both.enter_context(running_stack(home.with_name(name))) for name in ("one", "two")]
        for stack in stacks:
            assert json.loads(stack.run("whoami", "--json").stdout)["subject"] == "operator"
        assert stacks[0].key != stacks[1].key
        assert stacks[0].stop() == 0
        assert json.loads(stacks[1].run("status", "--json").stdout)["running"]


def test_a_port_that_somebody_has_is_refused_by_name(home: Path) -> None:
    with running_stack(home) as stack:
        refused = Stack(home.with_name("other"), stack.port, os.environ).run("up")
    assert refused.returncode == 1
    assert f"127.0.0.1:{stack.port}" in refused.stderr
    assert "OPENFACTORY_PORT" in refused.stderr
