import asyncio
import os
import signal
from pathlib import Path

import pytest

from cli.stack import leftovers
from cli.stack.part import Ends, LastingError
from domain.errors import Fault
from tests.integration.stack.programs import (
    COMPLAINS_ONCE,
    DIES,
    HAS_A_CHILD_IN_ITS_OWN_SESSION,
    IGNORES_SIGTERM,
    NEVER_READY,
    SERVES,
    WRITES_A_FILE,
    part,
    parts,
)
from tests.integration.stack.watched import Watched, alive, running

pytestmark = pytest.mark.integration


async def test_parts_start_behind_what_they_need_and_stop_before_it(tmp_path: Path) -> None:
    async with running(tmp_path, *reversed(parts(tmp_path))) as stack:
        await stack.until("worker", "ready")
        async with asyncio.timeout(5):
            await stack.supervisor.all_ready.wait()
    assert [s.name for s in stack.told if s.condition in ("ready", "done")] == ["first", "server", "worker"]
    assert stack.order("stopped")[:2] == ["worker", "server"]
    assert (tmp_path / "made").exists()


async def test_a_part_that_is_killed_is_started_again_while_the_others_go_on(tmp_path: Path) -> None:
    async with running(tmp_path, part(tmp_path, "a", SERVES), part(tmp_path, "b", SERVES)) as stack:
        first, other = await stack.until("a", "ready"), await stack.until("b", "ready")
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        told = await stack.until("a", "restarting", restarts=1)
        assert told.note is not None
        assert "signal 9" in told.note
        again = await stack.until("a", "ready", restarts=1)
        assert again.pid != first.pid
        assert other.pid is not None
        assert alive(other.pid)
    assert len([s for s in stack.told if s.name == "b" and s.condition == "ready"]) == 1


async def test_a_part_that_is_stuck_in_an_error_whose_cause_is_gone_is_started_anew(tmp_path: Path) -> None:
    error = LastingError(said=b"cannot go on", folder=tmp_path, room_bytes=1)
    async with running(tmp_path, part(tmp_path, "stuck", COMPLAINS_ONCE, lasting_error=error)) as stack:
        first = await stack.until("stuck", "ready")
        again = await stack.until("stuck", "ready", restarts=1)
        assert again.pid != first.pid
    told = next(s for s in stack.told if s.condition == "restarting")
    assert "having room again" in str(told.note)


async def test_a_part_that_never_comes_up_ends_the_stack_and_names_its_log(tmp_path: Path) -> None:
    watched = Watched(tmp_path, (part(tmp_path, "good", SERVES), part(tmp_path, "bad", DIES)))
    with pytest.raises(Fault, match=r"stack\.part_failed") as caught:
        await watched.supervisor.run(watched.stop)
    problem = caught.value.problems[0]
    assert "something is wrong here" in problem.message
    assert problem.next is not None
    assert str(tmp_path / "bad.log") in problem.next
    assert not [s.pid for s in watched.told if s.pid is not None and alive(s.pid)]


async def test_a_part_that_does_not_get_ready_in_time_counts_as_dead(tmp_path: Path) -> None:
    watched = Watched(tmp_path, (part(tmp_path, "slow", NEVER_READY, ready_seconds=0.2),))
    with pytest.raises(Fault, match="was not ready within 0 s, 5 times"):
        await watched.supervisor.run(watched.stop)


async def test_work_done_once_is_not_started_again_and_has_to_succeed(tmp_path: Path) -> None:
    async with running(tmp_path, part(tmp_path, "once", WRITES_A_FILE, probes=(Ends(),))) as stack:
        await stack.until("once", "done")
    assert len(stack.order("done")) == 1
    failing = Watched(tmp_path, (part(tmp_path, "once", DIES, probes=(Ends(),)),))
    with pytest.raises(Fault, match="ended with status 1"):
        await failing.supervisor.run(failing.stop)


async def test_a_part_that_ignores_its_stop_signal_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path, part(tmp_path, "deaf", IGNORES_SIGTERM, stop_seconds=0.3)) as stack:
        state = await stack.until("deaf", "ready")
    assert state.pid is not None
    assert not alive(state.pid)
    assert "killed" in str(stack.told[-1].note)


async def test_what_a_part_left_in_another_session_is_found_by_its_marks(tmp_path: Path) -> None:
    async with running(tmp_path, part(tmp_path, "worker", HAS_A_CHILD_IN_ITS_OWN_SESSION)) as stack:
        await stack.until("worker", "ready")
    left = leftovers.find(tmp_path, tmp_path)
    assert len(left) == 1
    leftovers.end(left)
    assert leftovers.find(tmp_path, tmp_path) == []


async def test_a_part_gets_exactly_its_environment_and_no_descriptor_of_ours(tmp_path: Path) -> None:
    code = """
        import infra.notify, os, pathlib, signal
        environment = pathlib.Path("/proc/self/environ").read_text().split("\\0")
        print(sorted(v.split("=")[0] for v in environment if v), os.listdir("/proc/self/fd"), flush=True)
        infra.notify.ready()
        signal.pause()
    """
    with (tmp_path / "secret").open("w"):
        async with running(tmp_path, part(tmp_path, "shows", code)) as stack:
            await stack.until("shows", "ready")
    names = ["NOTIFY_SOCKET", "OPENFACTORY_HOME", "OPENFACTORY_PART", "PATH", "PYTHONPATH"]
    # The fourth descriptor is the listing itself.
    assert (tmp_path / "shows.log").read_text() == f"{names} ['0', '1', '2', '3']\n"
