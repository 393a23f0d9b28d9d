"""The files of a test run, saved where a person wants them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.client.failures import TransferFailed, UsageFailure
from cli.client.output import Output
from cli.client.transfer import open_client
from cli.client.words import plain
from domain.errors import Problem
from domain.test_run.views import RunView

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,200}")


@dataclass(frozen=True)
class Reports:
    """Where the reports of a run are to be saved."""

    junit: Path | None = None
    html: Path | None = None
    folder: Path | None = None


async def save_files(view: RunView, reports: Reports, output: Output) -> None:
    """Save what is wanted of a run.

    Raises:
        TransferFailed: the run does not have it (yet), or it broke off.
        UsageFailure: it cannot be written there.

    """
    wanted = [("junit.xml", reports.junit), ("report.html", reports.html)]
    if reports.folder is not None:
        wanted += [(file.name, _inside(reports.folder, file.name)) for file in view.files]
    for name, path in wanted:
        if path is not None:
            await _save(view, name, path, output)


def _inside(folder: Path, name: str) -> Path:
    """Name a file in a folder. A guest may have had a say in its name."""
    if not _SAFE_NAME.fullmatch(name):
        raise UsageFailure(
            Problem(code="download.bad_name", message=f"The run names a file {name!r}, which is not a name.")
        )
    return folder / name


async def _save(view: RunView, name: str, path: Path, output: Output) -> None:
    """Fetch one file of the run; what was there before is replaced only by a whole one."""
    link = next((file for file in view.files if file.name == name), None)
    if link is None:
        raise TransferFailed(
            Problem(
                code="test_run.no_report",
                message=f"The run has no {name} (yet).",
                retryable=True,
                next=f"Look again when it has ended: openfactory test-run show {view.run_id}",
            )
        )
    async with open_client() as client:
        response = await client.get(link.url)
    if not response.is_success:
        raise TransferFailed(
            Problem(code="download.cut", message=f"{name}: the factory answers {response.status_code}.", retryable=True)
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(response.content)
    except OSError as error:
        raise UsageFailure(Problem(code="download.bad_folder", message=f"{path}: {error.strerror}")) from error
    output.notes.print(plain(f"saved {path}"), soft_wrap=True)
