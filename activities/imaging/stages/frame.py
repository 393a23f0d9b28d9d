"""The frame of a stage: its plan, its programs, its records, its end.

It runs as the first process of a PID namespace (see `infra.sandbox`), so whatever it started ends with it.
"""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TypeVar, cast

from pydantic import BaseModel

from activities.imaging.assembly_plans import StageLine, StagePlan, StageProblem, StageProgress
from domain.errors import FactoryError, Fault, Verdict
from infra import process

_PROGRAM_SECONDS = 1800.0
_NO_SPACE = os.strerror(errno.ENOSPC)  # as programs in the C.UTF-8 locale say it

Plan = TypeVar("Plan", bound=StagePlan)


class Stage:
    """What a stage does its work with."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self._behind = False
        # No locale, time zone, clock or default of the host's may show in the result.
        self._env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": str(epoch),
            "E2FSPROGS_FAKE_TIME": str(epoch),
            "MKE2FS_CONFIG": str(Path(__file__).with_name("mke2fs.conf")),
            "MTOOLSRC": os.devnull,
        }

    def step_back(self) -> None:
        """Leave the processors to whoever else wants them, in all programs from now on."""
        self._behind = True

    async def run(
        self,
        *argv: str | Path,
        stdin: bytes | IO[bytes] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        """Run a program; what it says goes to the log, or to `on_line`."""
        say = on_line if on_line is not None else self.line
        words = [str(word) for word in argv]
        await process.run(words, timeout=_PROGRAM_SECONDS, on_line=say, stdin=stdin, env=self._env, behind=self._behind)

    async def ask(self, *argv: str | Path) -> str:
        """Run a program for what it answers."""
        completed = await process.run([*map(str, argv)], timeout=_PROGRAM_SECONDS, env=self._env, behind=self._behind)
        return completed.stdout.decode(errors="replace")

    async def grub_image(self, target: str, start: Path, output: Path, modules: Sequence[str]) -> None:
        """Link GRUB's core for `target` with everything it needs built in; it runs the file `start` first."""
        options = ("--format", target, "--prefix", "/boot/grub", "--config", start, "--output", output)
        await self.run("grub-mkimage", *options, *modules)
        self.date(output)

    def line(self, text: str) -> None:
        """Say something for the log."""
        if text.strip():
            _say(StageLine(text=text))

    def progress(self, percent: float, text: str) -> None:
        """Say how far the work is."""
        _say(StageProgress(percent=percent, text=text))

    def date(self, *paths: Path) -> None:
        """Give files and folders the image's time."""
        for path in paths:
            os.utime(path, (self.epoch, self.epoch), follow_symlinks=False)


def main(kind: type[Plan], work: Callable[[Plan, Stage], Awaitable[None]]) -> int:
    """Read the plan, do the work, and answer the program's exit status."""
    # The first process of a PID namespace ignores SIGTERM unless it asks for it (pid_namespaces(7)).
    signal.signal(signal.SIGTERM, _leave)
    os.umask(0o022)
    plan = kind.model_validate_json(sys.stdin.buffer.read())
    try:
        asyncio.run(_run(plan, work))
    except (FactoryError, OSError, ExceptionGroup) as error:
        _say(_why(error))
        return 1
    return 0


async def _run(plan: Plan, work: Callable[[Plan, Stage], Awaitable[None]]) -> None:
    await work(plan, Stage(plan.epoch))


def _leave(*_: object) -> None:
    os._exit(128 + signal.SIGTERM)


def _why(error: Exception) -> StageProblem:
    """Say why the stage ended: a verdict before a fault, because only that is about the image."""
    leaves = tuple(_leaves(error))
    if any(_NO_SPACE in f"{leaf} {getattr(leaf, 'tail', '')}" for leaf in leaves):
        full = Fault.because(
            "disk.full",
            "The work did not fit into the disk or memory it was given.",
            next="Free disk space or memory on the host, then retry.",
        )
        return StageProblem(wrong="factory", problems=full.problems)
    for leaf in sorted(leaves, key=lambda leaf: not isinstance(leaf, Verdict)):
        if isinstance(leaf, FactoryError):
            return StageProblem(wrong="image" if isinstance(leaf, Verdict) else "factory", problems=leaf.problems)
    fault = Fault.because(
        "stage.failed", f"The work stopped: {leaves[0]}", next="See the step's log, mend what it names, then retry."
    )
    return StageProblem(wrong="factory", problems=fault.problems)


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for inner in cast("ExceptionGroup[Exception]", error).exceptions:
        yield from _leaves(inner)


def _say(record: BaseModel) -> None:
    sys.stdout.write(record.model_dump_json() + "\n")
    sys.stdout.flush()
