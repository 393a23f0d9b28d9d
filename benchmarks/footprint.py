"""How soon the stack is up, and how much memory it has: the proportional set size (proc(5)) of all that it started."""

import asyncio
import os
import shutil
import time
from pathlib import Path
from uuid import uuid4

from activities.imaging.publish_copy import Copier, object_key
from activities.imaging.read_back import ReadBacks
from activities.imaging.store import LocalBlobStore
from benchmarks.measure import Figure, Line, median_figure
from benchmarks.vm_pages import environment
from cli.client.session import FactorySession
from cli.stack import leftovers
from domain.artifacts import Artifact
from infra import settings as configuration
from infra.objects import S3ObjectStore
from tests.e2e.stack import Stack

_IDLE_SECONDS = 60.0
_STARTS = 3
_SAMPLE_SECONDS = 0.5
_ARTIFACT_BYTES = 400 << 20


class _Silence:
    """A step log that nobody reads."""

    def line(self, text: str) -> None: ...

    def progress(self, percent: float, text: str) -> None: ...


async def second_start(stack: Stack, _: FactorySession) -> list[Line]:
    """Stop and start again, which also shows what the stack needs 60 s after it is ready."""
    seconds: list[float] = []
    for _again in range(_STARTS):
        await asyncio.to_thread(stack.stop)
        began = time.monotonic()
        await asyncio.to_thread(stack.start)
        seconds.append(time.monotonic() - began)
    await asyncio.sleep(_IDLE_SECONDS)
    parts = memory(stack)
    note = ", ".join(f"{name} {mib:.0f}" for name, mib in sorted(parts.items(), key=lambda p: -p[1]))
    return [
        median_figure("up until ready, not for the first time", seconds, "s", "≤ 8"),
        Figure("idle 60 s after ready, sum of PSS", sum(parts.values()), "MiB", "≤ 800 MB", note),
    ]


async def while_storing(stack: Stack, _: FactorySession) -> list[Line]:
    """Store 400 MB that do not compress and read them back, as a build does, and look every half second."""
    settings = configuration.load(environment(stack.home, "host-worker")).s3
    if settings is None:
        raise RuntimeError("the factory has no object store")
    place = stack.home / "tmp" / f"bench-{uuid4()}"
    place.mkdir(parents=True)
    source = place / "source"
    await asyncio.to_thread(_write, source)
    store = LocalBlobStore(place)
    blob = await store.adopt(source)
    objects = S3ObjectStore(settings)
    copier = Copier(store, objects, ReadBacks(), _Silence(), blob.bytes)
    before, most, own = memory(stack), dict[str, float](), _pss_kib(os.getpid()) / 1024
    try:
        artifact = Artifact(kind="qcow2", name="bench.qcow2", blob=blob)
        storing = asyncio.create_task(copier.copy(artifact, "application/octet-stream"))
        while not storing.done():
            parts = await asyncio.to_thread(memory, stack)
            # Here it is this process that stores; in a factory it is the host worker, which is counted already.
            parts["who stores"] = max(0.0, (_pss_kib(os.getpid()) / 1024) - own)
            most = max(most, parts, key=lambda seen: sum(seen.values()))
            await asyncio.wait([storing], timeout=_SAMPLE_SECONDS)
        await storing
    finally:
        await asyncio.to_thread(shutil.rmtree, place)
        await objects.delete(object_key(blob))
        await objects.aclose()
    what = "the same, peak while 400 MB are stored and read back"
    grown = sorted(((mib - before.get(name, 0.0), name) for name, mib in most.items()), reverse=True)
    note = ", ".join([f"{sum(before.values()):.0f} MiB before", *(f"{name} {mib:+.0f}" for mib, name in grown[:3])])
    return [Figure(what, sum(most.values()), "MiB", "stated", note)]


def memory(stack: Stack) -> dict[str, float]:
    """The PSS of each part with its children, in MiB, the supervisor included."""
    found: dict[str, float] = {}
    for pid, name in _processes(stack):
        found[name] = found.get(name, 0.0) + _pss_kib(pid) / 1024
    return found


def _processes(stack: Stack) -> list[tuple[int, str]]:
    state = stack.state()
    parts = {p.pid: p.name for p in (state.parts if state else ()) if p.pid}
    every = [running.pid for running in leftovers.find(stack.home, stack.home / "run")]
    listed = [(pid, _owner(pid, parts)) for pid in {*every, *_descendants(parts)}]
    return listed if stack.process is None else [*listed, (stack.process.pid, "supervisor")]


def _owner(pid: int, parts: dict[int, str]) -> str:
    """Name the part that a process belongs to: the nearest ancestor that is one."""
    while pid > 1 and pid not in parts:
        pid = _parent(pid)
    return parts.get(pid, "other")


def _descendants(parts: dict[int, str]) -> set[int]:
    found = set(parts)
    while True:
        more = {int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _parent(int(p.name)) in found}
        if more <= found:
            return found
        found |= more


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _write(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(_ARTIFACT_BYTES >> 20):
            file.write(os.urandom(1 << 20))
