"""Temporary folders, and the room looked for before they fill."""

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from activities.imaging.disk_space import require_disk, scratch_memory
from activities.imaging.workspace import open_workspace, sweep_workspaces
from domain.errors import Fault


async def test_a_workspace_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    async with open_workspace(tmp_path, "job-1", "base_layer") as folder:
        (folder / "deep" / "er").mkdir(parents=True)
        assert folder.name.startswith("job-1.base_layer.")
        assert folder.stat().st_mode & 0o077 == 0
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_cancelled_step_leaves_no_workspace(tmp_path: Path) -> None:
    entered = asyncio.Event()

    async def step() -> None:
        async with open_workspace(tmp_path, "job-1", "base_layer") as folder:
            (folder / "half a layer").touch()
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(step())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_two_attempts_at_one_step_do_not_share_a_workspace(tmp_path: Path) -> None:
    async with open_workspace(tmp_path, "job", "step") as one, open_workspace(tmp_path, "job", "step") as other:
        assert one != other


async def test_the_sweep_removes_what_dead_workers_left_and_spares_the_living(tmp_path: Path) -> None:
    dead = tmp_path / "tmp" / "job-0.base_layer.x"
    (dead / "tree").mkdir(parents=True)
    async with open_workspace(tmp_path, "job-1", "base_layer") as living:
        assert await sweep_workspaces(tmp_path) == 1
        assert living.is_dir()
    assert not dead.exists()


async def test_a_workspace_is_held_by_a_lock_that_dies_with_its_holder(tmp_path: Path) -> None:
    async with open_workspace(tmp_path, "job-1", "base_layer") as folder:
        handle = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)


async def test_sweeping_a_home_that_never_worked_finds_nothing(tmp_path: Path) -> None:
    assert await sweep_workspaces(tmp_path) == 0


def test_a_full_disk_is_told_before_work_starts(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        require_disk(tmp_path / "not" / "there", 1 << 60, "The base layer")
    problem = caught.value.problems[0]
    assert problem.code == "disk.full"
    assert str(tmp_path) in problem.message
    assert problem.next is not None
    assert problem.next.startswith("Free at least")


def test_memory_is_used_only_while_there_is_plenty() -> None:
    assert scratch_memory(1) == 1
    assert scratch_memory(1 << 60) is None
