"""What the verification activity takes and gives. Frozen values only: workflows import this module."""

from typing import Any

from activities.job import Job
from domain.artifacts import Artifact
from domain.model import Value
from domain.verification import Bootable, BootReport, VerificationReport


class VerifyInput(Value):
    """Booted machines of the job, to be checked.

    The qcow2 gets the default tests and every assertion of the recipe, the ISO boot and login. `images` are
    what was booted: a report about one of them names its evidence.
    """

    job: Job
    recipe: dict[str, Any]
    boots: tuple[BootReport, ...]
    images: tuple[Artifact, ...] = ()


class VerifyResult(Value):
    """What was found. A failed assertion is a result here, not an error."""

    reports: tuple[VerificationReport, ...]


class NameEvidence(Value):
    """Asks what evidence about these images would be called, without booting them."""

    recipe: dict[str, Any]
    images: tuple[Artifact, ...]


class EvidenceNames(Value):
    """The names, by image."""

    names: dict[Bootable, str]
