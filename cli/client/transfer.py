"""Fetching one file: resumable, checked against its digest, and only then under its own name."""

import fcntl
import hashlib
import os
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final

import httpx2

from cli.client.failures import ClientFailure, TransferFailed, UsageFailure
from domain.artifacts import DownloadLink
from domain.errors import Problem

_TRIES: Final = 5
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,200}")
_PARTIAL: Final = 206
_OK: Final = 200
_GONE: Final = {401, 403, 404, 410}

Report = Callable[[int], None]


@asynccontextmanager
async def open_client() -> AsyncGenerator[httpx2.AsyncClient]:
    """Open a client that shows no key: a link's signature is all that it needs."""
    timeout = httpx2.Timeout(60.0, connect=10.0)
    async with httpx2.AsyncClient(timeout=timeout, trust_env=False) as client:
        yield client


async def fetch(client: httpx2.AsyncClient, link: DownloadLink, folder: Path, report: Report) -> Path:
    """Bring the file behind `link` into `folder` and return its path. `report` is told the bytes there are.

    What an earlier call left is continued, and a file that is already whole is not fetched again. Two
    processes do not write the same part: the second is refused.

    Raises:
        UsageFailure: a name that is no file name, or another file is in the way.
        TransferFailed: cut five times without a byte of progress, or the bytes are not those promised.

    """
    target = _target(link, folder)
    if target.exists():
        if target.stat().st_size == link.bytes and _digest(target) == link.sha256:
            report(link.bytes)
            return target
        raise UsageFailure(
            Problem(
                code="download.in_the_way",
                message=f"There is another file at {target}.",
                next="Move it away, or give another folder with --output.",
            )
        )
    part = folder / f".{link.name}.{link.sha256[:12]}.part"
    with _locked(part) as file:
        await _fill(client, link, file, report)
        file.flush()
        os.fsync(file.fileno())
        if _digest(part) != link.sha256:
            part.unlink()
            raise TransferFailed(
                Problem(
                    code="download.corrupt",
                    message=f"The bytes of {link.name} are not those that were promised (SHA-256 differs).",
                    retryable=True,
                    next="What was fetched is removed. Download again.",
                )
            )
        part.replace(target)
    return target


def _target(link: DownloadLink, folder: Path) -> Path:
    if not _SAFE_NAME.fullmatch(link.name):
        raise UsageFailure(
            Problem(code="download.bad_name", message=f"The factory names a file {link.name!r}, which is not a name.")
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageFailure(
            Problem(
                code="download.bad_folder",
                message=f"{folder}: {error.strerror}",
                next="Give a folder that can be written with --output.",
            )
        ) from error
    return folder / link.name


def _locked(part: Path) -> BinaryIO:
    file = part.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise TransferFailed(
            Problem(
                code="download.busy",
                message=f"Another download writes {part}.",
                retryable=True,
                next="Wait for it, or stop it.",
            )
        ) from error
    return file


async def _fill(client: httpx2.AsyncClient, link: DownloadLink, file: BinaryIO, report: Report) -> None:
    """Append what is missing; a cut is no failure while each try brings something."""
    tries = 0
    if file.seek(0, os.SEEK_END) > link.bytes:
        file.truncate(0)
    while (have := file.seek(0, os.SEEK_END)) < link.bytes:
        report(have)
        try:
            await _append(client, link, file, report)
        except httpx2.HTTPError as error:
            tries = 0 if file.seek(0, os.SEEK_END) > have else tries + 1
            if tries >= _TRIES:
                raise TransferFailed(
                    Problem(
                        code="download.cut",
                        message=f"{link.name} broke off {_TRIES} times: {error or type(error).__name__}",
                        retryable=True,
                        next="Run the same command again: it continues where this one stopped.",
                    )
                ) from error
        else:
            if file.seek(0, os.SEEK_END) == have:
                tries += 1
            if tries >= _TRIES:
                raise TransferFailed(
                    Problem(
                        code="download.short",
                        message=f"{link.name} ends after {have} of {link.bytes} bytes.",
                        retryable=True,
                        next="Run the same command again.",
                    )
                )
    report(link.bytes)


async def _append(client: httpx2.AsyncClient, link: DownloadLink, file: BinaryIO, report: Report) -> None:
    have = file.seek(0, os.SEEK_END)
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    async with client.stream("GET", link.url, headers=headers) as response:
        if response.status_code in _GONE:
            raise ClientFailure(
                Problem(
                    code="download.link_refused",
                    message=f"The link of {link.name} is not accepted ({response.status_code}); links last an hour.",
                    retryable=True,
                    next="Run the same command again: it asks for a new link.",
                )
            )
        response.raise_for_status()
        continues = response.status_code == _PARTIAL
        if continues and not response.headers.get("content-range", "").startswith(f"bytes {have}-"):
            raise httpx2.RemoteProtocolError("the answer is not the range that was asked for")
        if not continues:
            have = file.truncate(0)
        async for chunk in response.aiter_bytes():
            file.write(chunk[: link.bytes - have])
            have += min(len(chunk), link.bytes - have)
            report(have)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
