"""The download command."""

from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cli.client import exits
from cli.client.failures import ClientFailure, UsageFailure
from cli.client.output import Output
from cli.client.tools import Tools
from cli.client.transfer import fetch, open_client
from cli.client.words import plain, size
from domain.artifacts import DownloadLink
from domain.errors import Problem
from domain.views import DownloadLinks


async def download(session: Tools, output: Output, given: str, *, kinds: Sequence[str], folder: Path) -> int:
    """Fetch a build's files into `folder`: those of the kinds given, else all."""
    answer = DownloadLinks.model_validate(await session.call("get_download_links", {"build_id": given}), extra="ignore")
    links = _chosen(answer, kinds)
    done: list[tuple[DownloadLink, Path]] = []
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=output.notes, disable=not output.notes.is_terminal)
    async with open_client() as client:
        with bar:
            for link in links:
                task = bar.add_task(link.name, total=link.bytes)
                path = await fetch(client, link, folder, lambda n, task=task: bar.update(task, completed=n))
                done.append((link, path))
    _report(done, output)
    return exits.OK


def _chosen(answer: DownloadLinks, kinds: Sequence[str]) -> list[DownloadLink]:
    there = tuple(dict.fromkeys(link.kind for link in answer.links))
    missing = [kind for kind in kinds if kind not in there]
    if not answer.links:
        raise ClientFailure(
            Problem(
                code="download.nothing",
                message=answer.note or f"The build is {answer.status} and has no files to download.",
                next=f"Look at it: openfactory build-show {answer.build_id}",
            )
        )
    if missing:
        raise UsageFailure(
            Problem(
                code="download.no_such_kind",
                message=f"The build has no file of kind {', '.join(missing)}.",
                path="--kind",
                suggestions=there,
            )
        )
    return [link for link in answer.links if not kinds or link.kind in kinds]


def _report(done: Sequence[tuple[DownloadLink, Path]], output: Output) -> None:
    if output.as_json:
        files = [
            {"kind": link.kind, "path": str(path.absolute()), "bytes": link.bytes, "sha256": link.sha256}
            | {"verification": link.verification}
            for link, path in done
        ]
        output.json({"files": files})
        return
    for link, path in done:
        how = f", {link.method}" if link.method else ""
        image = f"  {link.verification}{how}" if link.kind in {"qcow2", "iso"} else ""
        output.out.print(plain(f"{path}  {size(link.bytes)}  sha256 {link.sha256}{image}"), soft_wrap=True)
