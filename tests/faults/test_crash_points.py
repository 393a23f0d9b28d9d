"""The enumeration of side effects: whole, by the names that the libraries themselves have."""

import ast
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType

import libvirt
import libvirt_qemu  # pyright: ignore[reportMissingTypeStubs] - it has none
import psycopg
import pytest
from minio import Minio
from temporalio.client import AsyncActivityHandle, Client, ScheduleHandle, WorkflowHandle

from tests.faults.crash_points import EFFECTS, enumerate_points, instrument, modules, name_of, points_of

_LIBRARIES: tuple[object, ...] = (
    *(os, shutil, signal, subprocess, tempfile, Path, libvirt_qemu, libvirt.virDomain, libvirt.virConnect),
    *(Minio, psycopg.Connection, psycopg.Cursor, Client, WorkflowHandle, AsyncActivityHandle, ScheduleHandle),
)
"""Whose names can be side effects."""

_HARMLESS = {
    # looking
    *(
        "XMLDesc",
        "absolute",
        "access",
        "bucket_exists",
        "connection",
        "cpu_count",
        "describe",
        "disk_usage",
        "exists",
        "expanduser",
    ),
    *(
        "fetchall",
        "fetchone",
        "fileno",
        "fsencode",
        "fstat",
        "get_async_activity_handle",
        "get_object",
        "getLibVersion",
    ),
    *(
        "get_workflow_handle",
        "get_workflow_handle_for",
        "get_schedule_handle",
        "fetch_history_events",
        "fetch_history",
        "list_schedules",
        "list_workflows",
        "closed",
        "geteuid",
        "getegid",
        "getpid",
        "glob",
        "is_dir",
        "is_file",
        "is_relative_to",
        "is_symlink",
    ),
    *("isActive", "isAlive", "iterdir", "list_objects", "listAllDomains", "lookupByName", "match", "name", "notifies"),
    *("query", "read", "read_bytes", "read_text", "relative_to", "resolve", "result", "rglob", "sched_getaffinity"),
    *(
        "screenshot",
        "stat",
        "stat_object",
        "times",
        "state",
        "stream",
        "time",
        "uname",
        "UUID",
        "which",
        "with_name",
        "with_suffix",
    ),
    # what ends with the process, or is another's: connections, descriptors, nameless files, signal handlers
    *("TemporaryFile", "abort", "cancel", "close", "connect", "cursor", "domainEventRegisterAny", "newStream", "pipe"),
    *("pipeline", "rollback", "set_result", "setKeepAlive", "shutdown", "transaction", "umask", "wait"),
    # calling on inside the SDK
    "execute_activity",
}
_OURS = {
    "append",
    "call",
    "copy",
    "create",
    "format",
    "index",
    "info",
    "path",
    "pause",
    "remove",
    "reset",
    "restore",
    "save",
    "split",
}
"""Methods of the product, or of texts and lists, that share a library's name: their insides have the points."""
_LIBRARY_NAMES = {"connection", "curs", "cursor", "domain", "os", "shutil", "signal", "subprocess", "tempfile"}
"""How the product's code calls what a library gave it."""


def _public(library: object) -> set[str]:
    return {name for name in dir(library) if not name.startswith("_")}


def test_every_call_that_a_library_could_make_a_side_effect_of_is_known_for_what_it_is() -> None:
    possible = set[str]().union(*map(_public, _LIBRARIES)) - EFFECTS
    unknown: dict[str, str] = {}
    for module, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = node.func.attr
                if name in possible - _HARMLESS and not _is_ours(node.func):
                    unknown[name] = f"{module}:{node.lineno}"
    assert not unknown, f"say of each whether it is a side effect, in `crash_points.EFFECTS` or here: {unknown}"


def _is_ours(call: ast.Attribute) -> bool:
    return call.attr in _OURS and name_of(call.value) not in _LIBRARY_NAMES


def test_names_of_points_are_unique_and_there_are_many() -> None:
    points = enumerate_points()
    assert len({point.name for point in points}) == len(points)
    assert len(points) > 150
    rooms = {point.module.partition(".")[0] for point in points}
    assert {"activities", "event_store", "infra", "service", "workflows"} <= rooms


def test_effects_that_are_awaited_or_handed_to_a_thread_are_points(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        "async def put(store, folder):\n"
        "    await store.put('key', b'')\n"
        "    await asyncio.to_thread(shutil.rmtree, folder)\n"
        "    text = 'a'.replace('a', 'b')\n"
        "    folder.replace(folder)\n"
        "    with folder.open('rb') as file, folder.open('wb') as other:\n"
        "        other.write(file.read())\n"
    )
    names = [point.name for point in points_of("m", source)]
    assert names == ["m:put:put", "m:put:rmtree", "m:put:replace", "m:put:open", "m:put:write"]


def test_wrapped_effects_happen_between_their_two_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "sample.py").write_text(
        "async def put(path):\n    path.write_text('x')\n    return await later(path.unlink)\n"
        "async def later(work):\n    return work()\n"
    )
    seen: list[tuple[str, str, bool]] = []
    target = tmp_path / "file"
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setattr("sys.meta_path", [])
    instrument(lambda name, side: seen.append((name, side, target.exists())))
    sample = _fresh("infra.sample", tmp_path / "infra" / "sample.py")
    coroutine = sample.put(target)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert seen == [("infra.sample:put:write_text", "before", False), ("infra.sample:put:write_text", "after", True)]


def _fresh(name: str, path: Path) -> ModuleType:
    """Load a module through the first finder alone, beside the one of that name that may be loaded."""
    import importlib.util  # noqa: PLC0415 - needed here alone
    import sys  # noqa: PLC0415 - as above

    finder = sys.meta_path[0]
    spec = finder.find_spec(name, [str(path.parent)], None)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_name_of_a_call_is_the_last_of_its_path() -> None:
    call = ast.parse("a.b.c()", mode="eval").body
    assert isinstance(call, ast.Call)
    assert name_of(call.func) == "c"
