"""Temporary folders that nothing outlives: not success, failure, cancellation, nor kill -9.

A workspace is `<home>/tmp/<job>.<step>.<random>`, held by a lock that the kernel drops with its
holder (flock(2)). A worker that starts removes every workspace that nobody holds.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from infra.process import run
from infra.sandbox import sandboxed

_REMOVE_SECONDS = 300.0


@asynccontextmanager
async def open_workspace(home: Path, job_id: str, step: str) -> AsyncGenerator[Path]:
    """Give an empty folder on the store's file system, readable by the factory alone, and remove it at the end.

    Two attempts at one step get two folders, so a late writer of a lost attempt disturbs nobody.
    """
    parent = home / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{job_id}.{step}.", dir=parent))
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        try:
            await asyncio.shield(_remove(folder))
        finally:
            os.close(handle)


async def sweep_workspaces(home: Path) -> int:
    """Remove the workspaces of dead workers; answers how many. Those in use are left alone."""
    parent = home / "tmp"
    swept = 0
    for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
        if not folder.is_dir() or folder.is_symlink():
            folder.unlink(missing_ok=True)
            continue
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            await _remove(folder)
            swept += 1
        finally:
            os.close(handle)
    return swept


async def _remove(folder: Path) -> None:
    try:
        await asyncio.to_thread(shutil.rmtree, folder)
    except FileNotFoundError:
        if folder.exists():  # a thread of a step that was cancelled has only now taken its file away
            await _remove(folder)
    except PermissionError:
        # Files of subordinate ids: only the user namespace's root may remove them.
        await run(sandboxed(["rm", "-rf", "--", str(folder)]), timeout=_REMOVE_SECONDS)
