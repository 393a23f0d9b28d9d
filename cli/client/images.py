"""The image commands: upload a file, list, show and forget uploaded images."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import httpx2
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from cli.client import exits
from cli.client.exits import EPILOG
from cli.client.failures import ClientFailure, TransferFailed, UsageFailure
from cli.client.output import Output, run
from cli.client.tools import Tools
from cli.client.transfer import open_client
from cli.client.words import plain, problem_text, size
from domain.errors import Problem
from domain.image.views import ImagePage, ImageView

_TRIES: Final = 5
_PIECE: Final = 32 << 20
_CHECK_SECONDS: Final = 600.0
_PAUSE: Final = 1.0
_NO_CONTENT: Final = 204
_TUS: Final = {"Tus-Resumable": "1.0.0"}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
ImageId = Annotated[str, typer.Argument(metavar="ID", help="The id of an uploaded image.")]

images = typer.Typer(no_args_is_help=True, help="Images that were not built here.")


@images.command("upload", epilog=EPILOG)
def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A qcow2 or an ISO.")],
    *,
    name: Annotated[str | None, typer.Option(help="Its name in the factory; the file's own by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Upload an image; a call that was cut goes on where it broke off."""
    run(partial(_upload, file=file, name=name or file.name), as_json=as_json)


@images.command("list", epilog=EPILOG)
def list_(*, as_json: AsJson = False) -> None:
    """List uploaded images, newest first."""
    run(_list, as_json=as_json)


@images.command("show", epilog=EPILOG)
def show(image_id: ImageId, *, as_json: AsJson = False) -> None:
    """Show one uploaded image."""
    run(partial(_show, image_id=image_id), as_json=as_json)


@images.command("delete", epilog=EPILOG)
def delete(image_id: ImageId, *, as_json: AsJson = False) -> None:
    """Forget an uploaded image; machines made of it go on."""
    run(partial(_delete, image_id=image_id), as_json=as_json)


async def _upload(session: Tools, output: Output, *, file: Path, name: str) -> int:
    kind = _kind(file)
    digest = await asyncio.to_thread(_digest, file)
    # The same file under the same name is the same request: that is what lets a second call continue the first.
    key = hashlib.sha256(f"{name}\0{digest}".encode()).hexdigest()
    announced = {"name": name, "format": kind, "bytes": file.stat().st_size, "sha256": digest, "request_key": key}
    view = _view(await session.call("create_image_upload", announced))
    if view.status == "uploading":
        await _send(view, file, output)
        view = await _checked(session, view)
    _report(view, output)
    return exits.OK if view.status == "ready" else exits.FAILED


async def _send(view: ImageView, file: Path, output: Output) -> None:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=output.notes, disable=not output.notes.is_terminal)
    with bar:
        task = bar.add_task(view.name, total=view.bytes)
        async with open_client() as client:
            await _send_all(client, view.upload_url or "", file, lambda sent: bar.update(task, completed=sent))


async def _send_all(client: httpx2.AsyncClient, url: str, file: Path, report: Callable[[int], None]) -> None:
    """Send what the factory does not have; a cut connection is tried again as long as bytes arrive."""
    failures, last = 0, -1
    while True:
        try:
            there = await client.head(url, headers=_TUS)
            there.raise_for_status()
            offset = int(there.headers["Upload-Offset"])
            report(offset)
            if offset == file.stat().st_size:
                return
            failures = failures + 1 if offset == last else 0
            last = offset
            headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            sent = await client.patch(url, content=_piece(file, offset), headers=headers)
            if sent.status_code != _NO_CONTENT:
                sent.raise_for_status()
        except httpx2.HTTPStatusError as error:
            if error.response.is_client_error:
                raise _refused(error.response) from error
            failures += 1
        except httpx2.HTTPError:
            failures += 1
        if failures >= _TRIES:
            raise TransferFailed(
                Problem(
                    code="upload.cut",
                    message=f"The upload broke off {_TRIES} times at the same byte.",
                    retryable=True,
                    next="Run the same command again: it goes on where it broke off.",
                )
            )
        if failures:
            await asyncio.sleep(_PAUSE)


async def _checked(session: Tools, view: ImageView) -> ImageView:
    """Wait until the factory has judged the bytes."""
    async with asyncio.timeout(_CHECK_SECONDS):
        while view.status in ("uploading", "checking"):
            await asyncio.sleep(_PAUSE)
            view = _view(await session.call("get_image", {"image_id": view.image_id}))
    return view


async def _list(session: Tools, output: Output) -> int:
    page = ImagePage.model_validate(await session.call("list_images", {"limit": 50}), extra="ignore")
    if output.as_json:
        output.json(page.model_dump(mode="json", exclude_none=True))
        return exits.OK
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("id", "name", "format", "status", "size"):
        table.add_column(column)
    for image in page.images:
        table.add_row(image.image_id, plain(image.name), image.format, image.status, size(image.bytes))
    output.out.print(table if page.images else "No uploaded images.")
    return exits.OK


async def _show(session: Tools, output: Output, *, image_id: str) -> int:
    _report(_view(await session.call("get_image", {"image_id": image_id})), output)
    return exits.OK


async def _delete(session: Tools, output: Output, *, image_id: str) -> int:
    _report(_view(await session.call("delete_image", {"image_id": image_id})), output)
    return exits.OK


def _report(view: ImageView, output: Output) -> None:
    if output.as_json:
        output.json(view.model_dump(mode="json", exclude_none=True))
        return
    output.say(f"Image {view.image_id}  {view.name}  {view.status}  {size(view.bytes)}  sha256 {view.sha256}")
    for problem in view.problems:
        output.out.print(problem_text(problem), soft_wrap=True)
    if view.next:
        output.say(view.next)


def _view(answer: dict[str, object]) -> ImageView:
    return ImageView.model_validate(answer, extra="ignore")


def _kind(file: Path) -> str:
    with file.open("rb") as image:
        if image.read(4) == b"QFI\xfb":  # the magic of qcow2, docs/interop/qcow2.txt of QEMU
            return "qcow2"
        image.seek(0x8001)
        if image.read(5) == b"CD001":
            return "iso"
    raise UsageFailure(
        Problem(
            code="upload.unknown_format",
            message=f"{file} is neither a qcow2 nor an ISO 9660 image.",
            next=f"Convert it first: qemu-img convert -O qcow2 {file} image.qcow2",
        )
    )


def _digest(file: Path) -> str:
    with file.open("rb") as image:
        return hashlib.file_digest(image, "sha256").hexdigest()


async def _piece(file: Path, offset: int) -> AsyncGenerator[bytes]:
    for chunk in _chunks(file, offset):
        yield chunk


def _chunks(file: Path, offset: int) -> Iterator[bytes]:
    with file.open("rb") as image:
        image.seek(offset)
        left = _PIECE
        while left > 0 and (chunk := image.read(min(1 << 20, left))):
            left -= len(chunk)
            yield chunk


def _refused(response: httpx2.Response) -> ClientFailure:
    try:
        return ClientFailure(Problem.model_validate(response.json(), extra="ignore"))
    except ValueError:
        return ClientFailure(Problem(code="upload.refused", message=f"The factory answers {response.status_code}."))
