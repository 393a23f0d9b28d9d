"""What the one appending activity takes and gives. Frozen values only: workflows import this module."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from domain.build.commands import BuildCommand
from domain.model import Value
from domain.vm.commands import VmCommand

RECORD_BUILD = "record_build"
RECORD_VM = "record_vm"
"""The names of the activities: workflows cannot import the module that holds the database."""


class RecordInput(Value):
    """One command to decide against the stream of `build_id` and to append. `at` is the workflow's time."""

    build_id: str
    at: datetime
    command: Annotated[BuildCommand, Field(discriminator="kind")]


class RecordVmInput(Value):
    """One command to decide against the stream of a machine and to append. `at` is the workflow's time."""

    stream_id: str
    at: datetime
    command: Annotated[VmCommand, Field(discriminator="kind")]


class RecordResult(Value):
    """The stream's version afterwards, and how many events were appended (0 when the fact was there)."""

    version: int
    appended: int
