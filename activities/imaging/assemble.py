"""Makes the bootable files of a finished layer (`ports.Assembler`): a disk image and a live medium.

Both are made at the same time, each by a stage of its own in a sandbox; the same layer gives the same
bytes, whoever makes them. Nothing is left behind: a workspace ends with the attempt, and a mount with
its namespace.
"""

import asyncio
from importlib.metadata import version
from pathlib import Path

from activities.imaging.assembly_index import Assembly, AssemblyIndex, AssemblyIngredients
from activities.imaging.assembly_plans import DiskPlan, LivePlan
from activities.imaging.disk_space import require_disk, scratch_memory
from activities.imaging.identifiers import volume_label
from activities.imaging.lock import Lock, read_lock
from activities.imaging.models import AssembleInput, AssembleResult
from activities.imaging.stage_runner import run_stage
from activities.imaging.store import LocalBlobStore
from activities.imaging.tools import tool_versions
from activities.imaging.workspace import open_workspace
from activities.step_log import StepLog
from domain.artifacts import Artifact, ArtifactKind, Layer
from domain.canonical import digest
from domain.errors import FactoryError, Fault, Verdict
from infra.sources import source_digest

_HERE = Path(__file__).parent
_PACKAGES = (
    *("dosfstools", "e2fsprogs", "fdisk", "grub-common", "grub-efi-amd64-bin", "grub-pc-bin", "mtools"),
    *("squashfs-tools", "tar", "xorriso", "zstd"),
)
_SOURCES = tuple(
    _HERE / name
    for name in (
        *("boot_loader.py", "disk_layout.py", "identifiers.py", "stages/frame.py", "stages/disk_image.py"),
        *("stages/difference.py", "stages/image_tree.py", "stages/qcow2.py"),
        *("stages/live_image.py", "stages/mke2fs.conf", "stages/rootfs_tree.py"),
    )
)


class ImageAssembler:
    """Assembles on this host, for any number of jobs at a time."""

    def __init__(self, home: Path, store: LocalBlobStore) -> None:
        self._home = home
        self._store = store
        self._index = AssemblyIndex(home, store)

    async def assemble(self, request: AssembleInput, log: StepLog) -> AssembleResult:
        """Make `<recipe>.qcow2` and `<recipe>.iso`, or adopt the ones made before of the same layer.

        Raises:
            Verdict: `image.no_kernel`, `image.no_live_boot` or `image.bad_path`: the layer cannot become an image.
            Fault: `layer.missing`, `disk.full`, or what a program of the host could not do.

        """
        lock = read_lock(self._store, request.lock)
        ingredients = AssemblyIngredients(
            layer=_tree_digest(request.layer),
            name=str(request.recipe["name"]),
            epoch=lock.epoch,
            tools={**await tool_versions(_PACKAGES), "zstandard": version("zstandard")},
            sources=source_digest(_SOURCES),
        )
        if (found := self._index.find(ingredients.key)) is not None:
            log.progress(100, "adopted earlier images")
            return AssembleResult(artifacts=found.artifacts, cached=True, summary=_summary(found, "from the cache"))
        if missing := [blob for blob in request.layer.blobs if not self._store.has(blob)]:
            raise Fault.because(
                "layer.missing",
                f"The layer {missing[0].digest[:12]} is not on this host.",
                next="Retry; the layer is made again when it cannot be had.",
            )
        made = await self._make(request, ingredients, lock, log)
        self._index.record(made)
        log.progress(100, "assembled")
        return AssembleResult(artifacts=made.artifacts, cached=False, summary=_summary(made, "made of this layer"))

    async def _make(
        self, request: AssembleInput, ingredients: AssemblyIngredients, lock: Lock, log: StepLog
    ) -> Assembly:
        room = _Room(lock.installed_bytes, sum(blob.bytes for blob in request.layer.blobs))
        require_disk(self._home, room.disk, "Assembling")
        log.line(f"Assembling {ingredients.layer[:12]} into a disk image and a live medium.")
        async with open_workspace(self._home, request.job.job_id, "assemble") as work:
            disk, live = self._plans(request, ingredients, work, room)
            both = _Both(log)
            try:
                async with asyncio.TaskGroup() as group:
                    images = (
                        group.create_task(self._image("qcow2", "disk_image", disk, both.part(0))),
                        group.create_task(self._image("iso", "live_image", live, both.part(1))),
                    )
            except ExceptionGroup as group:
                raise _first(group) from group
        return Assembly(key=ingredients.key, artifacts=tuple(image.result() for image in images))

    async def _image(self, kind: ArtifactKind, stage: str, plan: DiskPlan | LivePlan, log: StepLog) -> Artifact:
        """Make one of the two and say at once that it is there: the other one may take longer."""
        await run_stage(stage, plan, log)
        made = Artifact(kind=kind, name=f"{plan.title}.{kind}", blob=await self._store.adopt(plan.output))
        log.line(f"{made.name}: {made.blob.bytes} bytes, sha256 {made.blob.digest}")
        return made

    def _plans(
        self, request: AssembleInput, ingredients: AssemblyIngredients, work: Path, room: "_Room"
    ) -> tuple[DiskPlan, LivePlan]:
        folders = (work / "disk", work / "live")
        for folder in folders:
            folder.mkdir()
        disk = DiskPlan(
            epoch=ingredients.epoch,
            layers=tuple(map(self._store.path, request.layer.blobs)),
            digest=ingredients.layer,
            title=ingredients.name,
            work=folders[0],
            output=folders[0] / "disk.qcow2",
            scratch_bytes=room.scratch(2),
        )
        live = LivePlan(
            epoch=ingredients.epoch,
            layers=disk.layers,
            digest=ingredients.layer,
            title=ingredients.name,
            work=folders[1],
            output=folders[1] / "live.iso",
            scratch_bytes=room.scratch(1),
            label=volume_label(ingredients.name),
        )
        return disk, live


def _tree_digest(layer: Layer) -> str:
    """Name the tree by all that it is unpacked from."""
    first, *more = layer.blobs
    return digest([first.digest, *(blob.digest for blob in more)]) if more else first.digest


class _Room:
    """What assembling needs, in bytes, judged before anything is unpacked."""

    def __init__(self, installed: int, packed: int) -> None:
        # Packages say what they unpack to; initramfs, caches and whole blocks for small files come on top. A layer
        # is packed to a third or so, which bounds what a script may have added to it.
        self.tree = int(max(installed * 1.5, packed * 4)) + (256 << 20)
        # Each of the two has a tree of its own, and the disk image is as large again before it is compressed.
        self._in_memory = scratch_memory(3 * self.tree) is not None
        # On disk besides: twice the compressed tree, squashfs and ISO, then the qcow2.
        self.disk = (1 if self._in_memory else 4) * self.tree

    def scratch(self, trees: int) -> int | None:
        """Give the memory for something the size of so many trees; nothing if it has to be on disk."""
        return trees * self.tree if self._in_memory else None


class _Both:
    """Joins the progress of two stages of about the same length."""

    def __init__(self, log: StepLog) -> None:
        self.log = log
        self._percents = [0.0, 0.0]

    def part(self, number: int) -> StepLog:
        """Give the log of one of the two."""
        return _Part(self, number)

    def note(self, number: int, percent: float, text: str) -> None:
        """Take the progress of one of the two."""
        self._percents[number] = percent
        self.log.progress(sum(self._percents) / len(self._percents), text)


class _Part(StepLog):
    def __init__(self, both: _Both, number: int) -> None:
        self._both = both
        self._number = number

    def line(self, text: str) -> None:
        self._both.log.line(text)

    def progress(self, percent: float, text: str) -> None:
        self._both.note(self._number, percent, text)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """Choose what to tell of two failures: a verdict, else a fault; anything else is a bug and goes up as it is."""
    known = [error for error in group.exceptions if isinstance(error, FactoryError)]
    if len(known) < len(group.exceptions):
        return group
    return next((error for error in known if isinstance(error, Verdict)), known[0])


def _summary(assembly: Assembly, how: str) -> str:
    sizes = ", ".join(f"{a.kind} {a.blob.bytes / 1e6:.0f} MB" for a in assembly.artifacts)
    return f"{sizes}; {how}"
