"""Download links, and the bytes behind them."""

import hashlib
from collections.abc import AsyncIterator

from domain.artifacts import Artifact, DownloadLink, FileKind
from domain.build.state import BuildState
from domain.caller import Caller
from domain.errors import Verdict
from domain.model import Value
from domain.views import DownloadLinks
from infra.signed_links import BuildOf
from service.build_view import workflow_id
from service.factory import Factory
from service.histories import kept_histories
from service.links import link_to
from service.lookup import build_id_of, require_kept, visible_build
from service.permissions import require

_PREFIX = "blobs/"


class Download(Value):
    """One object to be sent: its size, and its SHA-256, if that names it; `tag` names its content for ever."""

    key: str
    name: str
    bytes: int
    tag: str
    sha256: str | None = None


async def get_download_links(
    factory: Factory, caller: Caller, build_id: str, *, kind: FileKind | None = None
) -> DownloadLinks:
    """Sign a link of one hour for each file of the build, or for those of one kind.

    Raises:
        Verdict: `build.not_found`, `build.deleted` or `build.expired`.

    """
    require(caller, "get_download_links")
    build_id = await build_id_of(factory, caller, build_id)
    state = await visible_build(factory, caller, build_id)
    if state is None:
        return DownloadLinks(
            build_id=build_id, status="pending", links=(), note="The build is starting and has no files yet."
        )
    require_kept(state)
    chosen = [artifact for artifact in state.artifacts if kind is None or artifact.kind == kind]
    histories = await histories_of(factory, state) if kind in {None, "history"} else ()
    return DownloadLinks(
        build_id=build_id,
        status=state.status,
        links=(*(link_of(factory, state, artifact) for artifact in chosen), *histories),
        note=_note(chosen, state.status, kind),
    )


async def sign_document(factory: Factory, data: bytes, name: str) -> str:
    """Keep a small document by its digest and return a link of one hour to it."""
    key = _PREFIX + hashlib.sha256(data).hexdigest()
    await factory.objects.put(key, data, "application/json")
    return link_to(factory, key, name).url


async def open_download(factory: Factory, token: str, name: str) -> Download:
    """Tell what a link is for.

    Raises:
        Verdict: `link.invalid`, `link.expired`, or `object.not_found` if the file was removed.

    """
    grant = factory.links.verify(token, name=name, now=factory.now())
    key, build = grant.key, grant.build
    found = await factory.objects.stat(key)
    if found is None or (build is not None and not await _is_kept(factory, build)):
        raise Verdict.because(
            "object.not_found", "This file is no longer kept.", next="Ask for the build's links again."
        )
    digest = key.removeprefix(_PREFIX) if key.startswith(_PREFIX) else None
    # Other objects (reports, evidence) are written once, so that key and size name them.
    tag = digest or hashlib.sha256(f"{key} {found.bytes}".encode()).hexdigest()
    return Download(key=key, name=name, bytes=found.bytes, tag=tag, sha256=digest)


async def _is_kept(factory: Factory, build: BuildOf) -> bool:
    """Tell whether the build still has its files: a link of one that was deleted opens nothing any more."""
    async with factory.reads.org(build.org_id) as reads:
        state = await reads.builds.get(build.build_id)
    return state is not None and state.deleted is None and state.expired is None


def read_download(factory: Factory, download: Download, *, offset: int, length: int) -> AsyncIterator[bytes]:
    """Read a part of the file in chunks of bounded size."""
    return factory.objects.stream(download.key, offset=offset, length=length)


def link_of(factory: Factory, state: BuildState, artifact: Artifact) -> DownloadLink:
    """Sign a link of one hour to an artifact of a build."""
    link = link_to(factory, _PREFIX + artifact.blob.digest, artifact.name, _of(state))
    return DownloadLink(
        kind=artifact.kind,
        name=artifact.name,
        bytes=artifact.blob.bytes,
        sha256=artifact.blob.digest,
        verification=artifact.verification,
        method=artifact.method,
        url=link.url,
        expires_at=link.expires_at,
    )


async def histories_of(factory: Factory, state: BuildState) -> tuple[DownloadLink, ...]:
    """Sign a link of one hour to the history of each closed run of a build's workflow."""
    return await kept_histories(factory, workflow_id(state.build_id), _of(state))


def _of(state: BuildState) -> BuildOf:
    return BuildOf(org_id=state.org_id, build_id=state.build_id)


def _note(artifacts: list[Artifact], status: str, kind: FileKind | None) -> str:
    if kind == "history":
        return "A run's history is kept some minutes after it has closed. `openfactory replay FILE` replays it."
    if not artifacts:
        return (
            f"There are no such files: the build is {status}. Files appear when it has published them; "
            "call get_build_status."
        )
    unverified = [a.name for a in artifacts if a.kind in ("qcow2", "iso") and a.verification != "verified"]
    if unverified:
        names = ", ".join(unverified)
        return f"UNVERIFIED, did not pass its tests or was not booted: {names}. Do not call it verified."
    return "The links work for one hour without a key: share them with care. Compare sha256 after the download."
