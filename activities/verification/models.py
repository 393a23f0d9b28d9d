"""What the verification activity takes and gives. Frozen values only: workflows import this module."""

from typing import Any

from activities.job import Job
from domain.model import Value
from domain.verification import BootReport, VerificationReport


class VerifyInput(Value):
    """Booted machines of the job, to be checked.

    The qcow2 gets the default tests and every assertion of the recipe, the ISO boot and login.
    """

    job: Job
    recipe: dict[str, Any]
    boots: tuple[BootReport, ...]


class VerifyResult(Value):
    """What was found. A failed assertion is a result here, not an error."""

    reports: tuple[VerificationReport, ...]
