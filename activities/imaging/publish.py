"""Copies a build's files to the object store (`ports.Publisher`) and reads every one of them back.

Objects are named by their digest, so publishing again finds them there and only reads them again.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from activities.imaging import publish_documents as documents
from activities.imaging.lock import read_lock
from activities.imaging.models import PublishInput, PublishResult
from activities.imaging.publish_copy import Copier
from activities.imaging.read_back import ReadBacks
from activities.imaging.store import LocalBlobStore
from activities.imaging.workspace import open_workspace
from activities.step_log import StepLog
from domain.artifacts import LOCK, Artifact, Blob
from domain.errors import Fault, Verdict
from infra.log_layout import decode_records, job_prefix
from infra.ports import ObjectInfo, ObjectStore

_PAGE = 1000
_PAUSES = (1.0, 2.0, 4.0, 8.0, 0.0)  # seconds after each try to read a part of the log
_CONTENT_TYPES = {
    "iso": "application/vnd.efi.iso",
    "recipe": "application/json",
    "report": "application/json",
    "manifest": "application/json",
    "log": "text/plain; charset=utf-8",
}


class ObjectPublisher:
    """Publishes from this host's store. `version` is the factory's own, for the verification document."""

    def __init__(self, home: Path, store: LocalBlobStore, objects: ObjectStore, *, version: str) -> None:
        self._home = home
        self._store = store
        self._objects = objects
        self._version = version
        self._read_backs = ReadBacks()

    async def copy_images(self, images: tuple[Artifact, ...], log: StepLog) -> None:
        """Have finished images in the object store before they are published, while they are tested.

        Raises:
            Fault: as `publish`, which does it again.

        """
        await self._copy(images, log)

    async def publish(self, request: PublishInput, log: StepLog) -> PublishResult:
        """Publish the images, the documents about them, the build's log and what evidence it left.

        Safe to repeat: what is there with the right digest is not sent again. Memory does not grow with
        the files.

        Raises:
            Fault: `artifact.corrupt`, when a file cannot be read back with its digest after two tries;
                `artifact.missing`, when it is neither here nor there; `objects.unavailable`.

        """
        images = tuple(documents.honest(artifact, request.reports) for artifact in request.artifacts)
        artifacts = [*images, *await self._documents(request, images)]
        async with open_workspace(self._home, request.job.job_id, "publish") as work:
            artifacts.append(Artifact(kind="log", name="build.log", blob=await self._build_log(request, work, log)))
            artifacts += await self._evidence(request, work)
        sums = await self._store.add(documents.checksums(artifacts))
        artifacts.append(Artifact(kind="manifest", name="SHA256SUMS", blob=sums))
        await self._copy(artifacts, log)
        log.progress(100, "published")
        return PublishResult(artifacts=tuple(artifacts))

    async def _copy(self, artifacts: Sequence[Artifact], log: StepLog) -> None:
        total = sum(artifact.blob.bytes for artifact in artifacts)
        copier = Copier(self._store, self._objects, self._read_backs, log, total)
        for artifact in artifacts:
            await copier.copy(artifact, _content_type(artifact))

    async def _documents(self, request: PublishInput, images: tuple[Artifact, ...]) -> list[Artifact]:
        lock = read_lock(self._store, request.lock)
        add = self._store.add
        verified = documents.verification_document(request, images, self._version)
        return [
            Artifact(kind="recipe", name="recipe.json", blob=await add(documents.recipe_document(request.recipe))),
            Artifact(kind="manifest", name="packages.json", blob=await add(documents.package_manifest(lock))),
            Artifact(kind="manifest", name=LOCK, blob=request.lock),
            Artifact(kind="report", name="verification.json", blob=await add(verified)),
        ]

    async def _build_log(self, request: PublishInput, work: Path, log: StepLog) -> Blob:
        path = work / "build.log"
        with path.open("wb") as file:
            async for info in self._list(job_prefix(request.job.job_id)):
                file.writelines(await self._part_of_log(info.key, log))
        return await self._store.adopt(path)

    async def _part_of_log(self, key: str, log: StepLog) -> list[bytes]:
        """Read a part of the log. One that stays unreadable while others can be read is said to be so.

        A store whose disk was full may have lost a small object for good, and finished images are not to wait for it.
        """
        reason = ""
        for pause in _PAUSES:
            try:
                with _listed(key):
                    return list(documents.log_lines(decode_records(await self._objects.get(key))))
            except Fault as fault:
                reason = str(fault)
                await asyncio.sleep(pause)
        await self._objects.list(key)  # raises if the whole store is away
        log.line(f"A part of the log is left out: {reason}")
        return [documents.missing_part(key)]

    async def _evidence(self, request: PublishInput, work: Path) -> list[Artifact]:
        found: list[Artifact] = []
        async for info in self._list(f"evidence/{request.job.job_id}/"):
            name = documents.evidence_name(info.key)
            path = work / hashlib.sha256(info.key.encode()).hexdigest()
            with path.open("wb") as file, _listed(info.key):
                async for chunk in self._objects.stream(info.key):
                    file.write(chunk)
            found.append(Artifact(kind="evidence", name=name, blob=await self._store.adopt(path)))
        return found

    async def _list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        after = ""
        while page := await self._objects.list(prefix, after=after, limit=_PAGE):
            for info in page:
                yield info
            after = page[-1].key


@contextmanager
def _listed(key: str) -> Generator[None]:
    """Call it a fault, which is tried again, when the object store has not what it listed."""
    try:
        yield
    except Verdict as verdict:
        raise Fault.because(
            "objects.unavailable",
            f"the object store listed {key!r} and has it not",
            next="Look at the object store; the work goes on by itself once it answers.",
        ) from verdict


def _content_type(artifact: Artifact) -> str:
    if artifact.name.endswith(".png"):
        return "image/png"
    if artifact.name == "SHA256SUMS" or artifact.kind == "evidence":
        return "text/plain; charset=utf-8"
    return _CONTENT_TYPES.get(artifact.kind, "application/octet-stream")
