"""What must hold whatever happened. One function, used everywhere: `violations`, and `assert_nothing_left` of it.

It asks nobody who could be wrong in the same way: the log and the read models in the database, the objects in
their store, the host's files, mounts and processes.
"""

import asyncio
import contextlib
import hashlib
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import libvirt
import psycopg
from psycopg import sql
from pydantic import SecretStr

from domain.build.events import ArtifactsExpired, ArtifactsPublished, BuildDeleted, StepCompleted
from domain.errors import Fault
from domain.keeping import HALF_DONE_GRACE
from event_store.catalog import PROJECTIONS
from event_store.mapper import StreamEvent, decode_event
from event_store.names import LOG_SCHEMA, LOG_TABLE, OWNER_ROLE, READ_SCHEMA
from event_store.rebuild import rebuild_projections
from infra import embedded_postgres
from infra.keys import Secrets
from infra.objects import S3ObjectStore
from infra.settings import S3Settings
from tests.held import held
from tests.replayed import unreplayable
from workflows.policies import COLLECT_EVERY, SWEEP_LIMIT

T = TypeVar("T")

GRACE_SECONDS = 60.0
_PROBES = 16

Kind = Literal["lost", "duplicated", "digest", "orphan", "read model", "refused", "unreplayable"]

_RESTING = {
    "builds": {"completed", "failed", "cancelled"},
    "vms": {"deleted", "stopped", "running", "failed", "lost"},
    "test_runs": {"passed", "failed", "error", "cancelled"},
    "images": {"uploading", "ready", "rejected", "deleted"},  # whose bytes are awaited, for a day
}
_ENDS = frozenset(
    {"build.completed.v1", "build.cancelled.v1", "vm.deleted.v1", "test_run.finished.v1", "test_run.failed.v1"}
    | {"test_run.cancelled.v1", "image.deleted.v1", "image.rejected.v1"}
)
_FIRST = {"build.requested.v1", "vm.requested.v1", "test_run.requested.v1", "image.requested.v1"}


@dataclass(frozen=True)
class Violation:
    """Something that must not be. `about` is the id of a job, if it is about one."""

    kind: Kind
    what: str
    about: str = ""


@dataclass
class Witness:
    """Where the state of an embedded factory is. Of bytes that were found right only the number is looked at again."""

    home: Path
    seen: set[str] = field(default_factory=set[str])
    replayed: set[str] = field(default_factory=set[str])

    def database(self, role: str) -> str:
        """The database's address."""
        ports = json.loads((self.home / "run" / "ports.json").read_bytes())
        name = {"postgres": "postgres", OWNER_ROLE: "database-owner"}[role]
        return embedded_postgres.url(ports["postgres"], role, Secrets(self.home / "secrets").password(name))

    def temporal(self) -> str:
        """The workflow engine's address."""
        return f"127.0.0.1:{json.loads((self.home / 'run' / 'ports.json').read_bytes())['temporal']}"

    def objects(self) -> S3ObjectStore:
        """The object store itself, whatever lies before it."""
        where = self.object_store()
        return S3ObjectStore(
            S3Settings(
                endpoint=where["S3_ENDPOINT"],
                access_key=where["S3_ACCESS_KEY"],
                secret_key=SecretStr(where["S3_SECRET_KEY"]),
            )
        )

    def object_store(self) -> dict[str, str]:
        """Where the object store is, as a part of the factory is told."""
        ports = json.loads((self.home / "run" / "ports.json").read_bytes())
        return {
            "S3_ENDPOINT": f"http://127.0.0.1:{ports['s3']}",
            "S3_ACCESS_KEY": "openfactory",
            "S3_SECRET_KEY": Secrets(self.home / "secrets").password("s3"),
        }


async def violations(
    witness: Witness, acknowledged: Sequence[str] = (), *, within: float = GRACE_SECONDS
) -> list[Violation]:
    """Check everything; what may take a while to be cleared away has `within` seconds.

    - every history of a workflow can be replayed;
    - every job that was acknowledged is in the log, and every job is at one end or parked;
    - nothing that happens once happened twice;
    - every published artifact that is not given up is in the object store with its digest;
    - no machine, tree, mount, process, socket, quota, lease or turn is left of a job that is over;
    - the read models are what a rebuild makes of the log;
    - no upload to the object store is half done for longer than the collection leaves one alone;
    - the object store takes what it is given, once it has had its time.
    """
    parted = [Violation("unreplayable", what) for what in await unreplayable(witness.temporal(), witness.replayed)]
    if parted:
        return parted  # nobody can ask such a workflow anything
    found = await asyncio.to_thread(_settled_orphans, witness, within)
    streams = await asyncio.to_thread(_streams, witness)
    found += _lost(streams, acknowledged)
    found += _twice(streams)
    found += await _digests(witness, streams)
    found += await asyncio.to_thread(_read_models, witness)
    found += await _half_done(witness)
    found += await _refused(witness)
    return found


def leftovers(home: Path) -> list[str]:
    """Name every machine, machine file, mount, workspace and builder process that is still there."""
    return [*_machines(home), *_workspaces(home), *_partial(home), *_mounts(home), *_processes(home)]


def assert_nothing_left(home: Path, *, within: float = GRACE_SECONDS) -> None:
    """Wait until nothing is left on the host, at most `within` seconds."""
    found = _until_none(lambda: leftovers(home), within)
    assert not found, found


def _until_none(look: Any, within: float) -> list[str]:
    deadline = time.monotonic() + within
    found: list[str] = look()
    while found and time.monotonic() < deadline:
        time.sleep(0.25)
        found = look()
    return found


def _settled_orphans(witness: Witness, within: float) -> list[Violation]:
    def look() -> list[str]:
        return [*leftovers(witness.home), *held(witness.database("postgres"), witness.temporal()), *_open_jobs(witness)]

    return [Violation("orphan", what) for what in _until_none(look, within)]


def _open_jobs(witness: Witness) -> list[str]:
    """Jobs that neither ended nor were parked."""
    found: list[str] = []
    with psycopg.connect(witness.database("postgres"), connect_timeout=5) as connection:
        for projection in PROJECTIONS:
            if resting := _RESTING.get(projection.name):
                query = sql.SQL("SELECT {}, status FROM {} WHERE status <> ALL(%s)").format(
                    sql.Identifier(projection.columns[0]), sql.Identifier(READ_SCHEMA, projection.name)
                )
                rows = connection.execute(query, (list(resting),)).fetchall()
                found += [f"{projection.name} {row[0]} is {row[1]} still" for row in rows]
    return found


def _streams(witness: Witness) -> dict[str, list[StreamEvent]]:
    query = sql.SQL(
        "SELECT originator_id, originator_version, topic, state FROM {} ORDER BY originator_id, originator_version"
    ).format(sql.Identifier(LOG_SCHEMA, LOG_TABLE))
    streams: dict[str, list[StreamEvent]] = {}
    with psycopg.connect(witness.database("postgres"), connect_timeout=5) as connection:
        for row in connection.execute(query, binary=True).fetchall():
            placed = decode_event(*row)
            streams.setdefault(str(placed.stream), []).append(placed)
    return streams


def _lost(streams: dict[str, list[StreamEvent]], acknowledged: Iterable[str]) -> list[Violation]:
    return [
        Violation("lost", f"{job} was acknowledged and is not in the log", job)
        for job in acknowledged
        if job not in streams
    ]


def _twice(streams: dict[str, list[StreamEvent]]) -> list[Violation]:
    found: list[Violation] = []
    for job, events in streams.items():
        once = Counter(_name_of_what_happens_once(placed) for placed in events)
        found += [
            Violation("duplicated", f"{job}: {name} happened {count} times", job)
            for name, count in once.items()
            if name and count > 1
        ]
    return found


def _name_of_what_happens_once(placed: StreamEvent) -> str:
    """Name an event that no stream may hold twice; nothing for the others."""
    event = placed.event
    if isinstance(event, StepCompleted):
        return f"{event.NAME} {event.step} of try {event.generation}"
    if event.NAME in _ENDS:
        return "the end"
    return event.NAME if event.NAME in _FIRST else ""


async def _digests(witness: Witness, streams: dict[str, list[StreamEvent]]) -> list[Violation]:
    published = {
        artifact.blob.digest: (artifact.blob.bytes, job)
        for job, events in streams.items()
        if not any(isinstance(placed.event, ArtifactsExpired | BuildDeleted) for placed in events)
        for placed in events
        if isinstance(placed.event, ArtifactsPublished)
        for artifact in placed.event.artifacts
    }
    found: list[Violation] = []
    objects, deadline = witness.objects(), time.monotonic() + GRACE_SECONDS
    try:
        for digest, (size, job) in published.items():
            key = f"blobs/{digest}"
            there = await _patiently(partial(objects.stat, key), deadline)
            if there is None or there.bytes != size:
                found.append(Violation("digest", f"{key} is gone or has another length", job))
            elif digest not in witness.seen and await _patiently(partial(_digest_of, objects, key), deadline) != digest:
                found.append(Violation("digest", f"{key} has other bytes", job))
            else:
                witness.seen.add(digest)
    finally:
        await objects.aclose()
    return found


async def _digest_of(objects: S3ObjectStore, key: str) -> str:
    hasher = hashlib.sha256()
    async for chunk in objects.stream(key):
        hasher.update(chunk)
    return hasher.hexdigest()


async def _patiently(ask: Callable[[], Awaitable[T]], deadline: float) -> T:
    """Ask a store that may be just about to be started anew."""
    while True:
        try:
            return await ask()
        except Fault:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.25)


async def _half_done(witness: Witness) -> list[Violation]:
    """Uploads by parts that the collection should have given up: a younger one may still go on, or wait its time."""
    objects, deadline = witness.objects(), time.monotonic() + GRACE_SECONDS
    before = datetime.now(UTC) - HALF_DONE_GRACE - COLLECT_EVERY - SWEEP_LIMIT
    try:
        found = await _patiently(partial(objects.abort_uploads, "", before=before, dry_run=True), deadline)
    finally:
        await objects.aclose()
    return [Violation("orphan", f"an upload of {o.key} was begun at {o.modified} and never ended") for o in found]


async def _refused(witness: Witness) -> list[Violation]:
    """Write into many folders, because a store that is half broken refuses some; nothing of it stays."""
    objects, deadline = witness.objects(), time.monotonic() + GRACE_SECONDS
    refused: list[str] = []
    try:
        for number in range(_PROBES):
            try:
                await _patiently(partial(objects.put, f"probes/{number}/x", b"x"), deadline)
                await _patiently(partial(objects.delete, f"probes/{number}/x"), deadline)
            except Fault as error:
                refused.append(str(error))
    finally:
        await objects.aclose()
    what = f"the object store refused {len(refused)} of {_PROBES} writes: {refused[0][:300]}" if refused else ""
    return [Violation("refused", what)] if refused else []


def _read_models(witness: Witness) -> list[Violation]:
    """Compare each row with what a rebuild makes of the log, once the projector is at the log's end."""
    owner = witness.database(OWNER_ROLE)
    before = _rows(witness)
    for _ in range(20):  # a projector that is on its way is not wrong
        time.sleep(0.1)
        if (now := _rows(witness)) == before:
            break
        before = now
    rebuild_projections(owner)
    after = _rows(witness)
    keys = sorted({key for key in before.keys() | after.keys() if before.get(key) != after.get(key)})
    return [Violation("read model", f"{name} {key} is not what the log says", key) for name, key in keys]


def _rows(witness: Witness) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows: dict[tuple[str, str], tuple[Any, ...]] = {}
    with psycopg.connect(witness.database("postgres"), connect_timeout=5) as connection:
        for projection in PROJECTIONS:
            query = sql.SQL("SELECT {} FROM {}").format(
                sql.SQL(", ").join(map(sql.Identifier, projection.columns)),
                sql.Identifier(READ_SCHEMA, projection.name),
            )
            for row in connection.execute(query).fetchall():
                rows[projection.name, str(row[0])] = row
    return rows


def _machines(home: Path) -> list[str]:
    socket = home / "libvirt" / "run" / "libvirt-sock"
    quick = home / "libvirt" / "quick"  # machines that are processes, in the fault laboratory
    found = [f"machine {entry.name}" for entry in quick.iterdir()] if quick.is_dir() else []
    if not socket.exists():
        return found
    connection = libvirt.open(f"qemu:///system?socket={socket}")
    try:
        return found + [f"domain {d.name()}" for d in connection.listAllDomains()]
    finally:
        connection.close()


def _workspaces(home: Path) -> list[str]:
    folders = [home / "tmp", home / "libvirt" / "lib" / "machines", home / "libvirt" / "run" / "m"]
    proofs = (home / "libvirt" / "lib").glob("kvm-*")
    return [f"file {p}" for p in (*proofs, *(e for folder in folders if folder.is_dir() for e in folder.iterdir()))]


def _partial(home: Path) -> list[str]:
    """Files of the store and the indexes that were begun and never finished."""
    folders = [home / name for name in ("store", "layers", "assemblies", "solutions", "cache/apt")]
    names = (".new-*", ".fetch-*")
    return [f"partial {p}" for folder in folders if folder.is_dir() for name in names for p in folder.rglob(name)]


def _mounts(home: Path) -> list[str]:
    """Mounts below the home; the laboratory's own small disks do not count."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [f"mount {line}" for line in lines if str(home) in line.split()[4] and " lab-" not in line]


def _processes(home: Path) -> list[str]:
    """Builders that name the home in their arguments, and machines that see its folders; servers do not count."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if _is_builder(argv, home) or is_machine(argv, entry, home):
                found.append(f"process {entry.name}: {' '.join(argv)[:200]}")
        except OSError:
            continue
    return found


def _is_builder(argv: list[str], home: Path) -> bool:
    tools = ("mmdebstrap", "unshare", "mksquashfs", "xorriso", "mke2fs", "apt-get", "tar")
    working = any(tool in argv[0] for tool in tools) or any("activities.imaging.stages" in word for word in argv)
    return working and (f"{home}/tmp" in " ".join(argv) or f"{home}/libvirt/quick" in " ".join(argv))


def is_machine(argv: list[str], process: Path, home: Path) -> bool:
    """Whether it is a QEMU of this home: its arguments name folders inside a namespace, what lies there tells whose."""
    if "qemu-system" not in argv[0]:
        return False
    with contextlib.suppress(OSError):
        if (process / "root" / "var" / "lib" / "libvirt").samefile(home / "libvirt" / "lib"):
            return True  # also where the home is on a disk of its own
    roots = [line.split()[3] for line in (process / "mountinfo").read_text(encoding="utf-8").splitlines()]
    return any(root.endswith(f"{home.parent.name}/{home.name}/libvirt/lib") for root in roots)
