"""The lock of an earlier build, taken again: the very same packages, if every one of them can still be had."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from activities.imaging.apt_debs import DebCache
from activities.imaging.apt_index import AptIndex, Stanza
from activities.imaging.lock import Lock, LockedPackage, read_lock
from activities.imaging.ports import BlobStore
from activities.step_log import StepLog
from domain.artifacts import Blob
from domain.errors import Fault, Problem, Verdict
from infra.ports import ObjectStore

_TODAY = "Build the recipe with the packages of today instead: create_build with recipe build:ID of the earlier build."


async def bring_lock(store: BlobStore, objects: ObjectStore, blob: Blob) -> Lock:
    """Have a published lock on this host, as the build that made it had it.

    Raises:
        Verdict: `lock.gone`, when it is no longer kept.
        Fault: `artifact.corrupt`, when its bytes are others; `objects.unavailable`.

    """
    if not store.has(blob):
        try:
            data = await objects.get(f"blobs/{blob.digest}")
        except Verdict as gone:
            why = "The lock of the earlier build is no longer kept."
            raise Verdict.because("lock.gone", why, path="rerun_of", next=_TODAY) from gone
        if hashlib.sha256(data).hexdigest() != blob.digest:
            why = f"The lock {blob.digest[:12]} does not have its digest in the object store."
            raise Fault.because("artifact.corrupt", why, next=_TODAY)
        await store.add(data)
    return read_lock(store, blob)


def require_wanted(lock: Lock, wanted: Sequence[str]) -> None:
    """Refuse a lock of other packages than this release asks for.

    Raises:
        Verdict: `lock.outdated`.

    """
    other = sorted(set(wanted) ^ set(lock.wanted))
    if other:
        why = f"Since the earlier build, the factory asks for other packages of its own: {', '.join(other[:8])}."
        raise Verdict.because("lock.outdated", why, path="rerun_of", next=_TODAY)


async def require_packages(lock: Lock, index: AptIndex, cache: DebCache, workspace: Path, log: StepLog) -> None:
    """See that each package is here or in the archive. One that the index no longer lists is fetched to find out.

    Raises:
        Verdict: `package.superseded` for each that cannot be had, with the versions of today.
        Fault: `mirror.unreachable`, `mirror.hash_mismatch`.

    """
    missing = cache.missing(lock.everything)
    known = await index.names()
    names = {package.name for package in missing} & known
    stanzas = await index.stanzas(names) if names else {}
    unlisted = [p for p in missing if stanzas.get(p.path, {}).get("SHA256") != p.sha256]
    if not unlisted:
        return
    log.line(f"{len(unlisted)} packages of the earlier build are no longer in the index; asking the archive for them.")
    gone = await cache.gone(unlisted, (index.root, index.mirrors), workspace, log)
    if gone:
        raise Verdict(*(_superseded(package, stanzas) for package in gone))


def _superseded(package: LockedPackage, stanzas: Mapping[str, Stanza]) -> Problem:
    today = sorted({stanza["Version"] for stanza in stanzas.values() if stanza["Package"] == package.name})
    has = f"; it has {', '.join(today)} now" if today else ""
    return Problem(
        code="package.superseded",
        message=f"The archive no longer has {package.name} {package.version} of the earlier build{has}.",
        path="rerun_of",
        value=f"{package.name}={package.version}",
        suggestions=tuple(today),
        next=_TODAY,
    )
