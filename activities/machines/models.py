"""What the machine activities take and give. Frozen values only: workflows import this module."""

from typing import Any, Literal

from activities.job import Job
from domain.artifacts import Artifact
from domain.model import Value
from domain.verification import BootReport


class BootInput(Value):
    """Bootable artifacts of this host's store: each becomes one machine named by the job.

    The qcow2 is booted under UEFI, the ISO under BIOS.
    """

    job: Job
    recipe: dict[str, Any]
    artifacts: tuple[Artifact, ...]


class BootResult(Value):
    """All machines are up and their guest agents answer; they stay up until released."""

    reports: tuple[BootReport, ...]


class ReleaseInput(Value):
    """Give back all that the job leased: its machines are destroyed and their files removed."""

    job: Job
    reason: Literal["finished", "failed", "cancelled"]


class ReleaseResult(Value):
    """How many machines were given back."""

    machines: int


class CaptureInput(Value):
    """Keep evidence of these machines of the job, named by artifact."""

    job: Job
    artifacts: tuple[Literal["qcow2", "iso"], ...]


class CaptureResult(Value):
    """The object keys of the evidence."""

    keys: tuple[str, ...]
