"""What the two assembly stages are told, and what they say while they work.

A stage is a program of its own in a sandbox: it reads one plan from standard input and writes one
JSON record a line to standard output.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from domain.errors import Problem
from domain.model import Value


class StagePlan(Value):
    """What every stage is told. `epoch` (seconds) is the time of everything that it makes."""

    epoch: int


class AssemblyPlan(StagePlan):
    """Packed layers of a root file system to be made into `output`.

    The first of `layers` is a whole tar, plain or in zstd; any other is a difference (`stages.difference`), laid on
    those before it. `digest` names the tree, and with it everything inside the image. `work` is an empty folder on
    the output's file system. The tree is unpacked in memory if `scratch_bytes` says how much that and what is made
    of it may take, else in `work`.
    """

    layers: tuple[Path, ...]
    digest: str
    title: str
    work: Path
    output: Path
    scratch_bytes: int | None


class DiskPlan(AssemblyPlan):
    """A disk image."""


class LivePlan(AssemblyPlan):
    """A live medium with this volume identifier."""

    label: str


class StageLine(Value):
    """A line for the log. It may quote a name from inside the image: untrusted."""

    kind: Literal["line"] = "line"
    text: str


class StageProgress(Value):
    """How far the stage is, 0 to 100."""

    kind: Literal["progress"] = "progress"
    percent: float
    text: str


class StageProblem(Value):
    """Why the stage ends without a result. `wrong` says what is wrong: the image or the factory."""

    kind: Literal["problem"] = "problem"
    wrong: Literal["image", "factory"]
    problems: tuple[Problem, ...]


StageRecord = Annotated[StageLine | StageProgress | StageProblem, Field(discriminator="kind")]
STAGE_RECORD: TypeAdapter[StageRecord] = TypeAdapter(StageRecord)
