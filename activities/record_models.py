"""What the appending activities take and give. Frozen values only: workflows import this module.

The names are here because workflows cannot import the module that holds the database.
"""

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from domain.build.commands import BuildCommand
from domain.image.commands import ImageCommand
from domain.model import Value
from domain.rebuild.commands import RebuildCommand
from domain.saved_recipe.commands import RecipeCommand
from domain.suite.commands import SuiteCommand
from domain.test_run.commands import TestRunCommand
from domain.vm.commands import VmCommand

RECORD_BUILD: Final = "record_build"
RECORD_VM: Final = "record_vm"
RECORD_IMAGE: Final = "record_image"
RECORD_SUITE: Final = "record_suite"
RECORD_TEST_RUN: Final = "record_test_run"
RECORD_RECIPE: Final = "record_recipe"
RECORD_REBUILD: Final = "record_rebuild"


class RecordInput(Value):
    """One command to decide against the stream of `build_id` and to append. `at` is the workflow's time."""

    build_id: str
    at: datetime
    command: Annotated[BuildCommand, Field(discriminator="kind")]


class RecordVmInput(Value):
    """The same for a machine."""

    stream_id: str
    at: datetime
    command: Annotated[VmCommand, Field(discriminator="kind")]


class RecordImageInput(Value):
    """The same for an uploaded image."""

    stream_id: str
    at: datetime
    command: Annotated[ImageCommand, Field(discriminator="kind")]


class RecordSuiteInput(Value):
    """The same for a test suite."""

    stream_id: str
    at: datetime
    command: SuiteCommand


class RecordTestRunInput(Value):
    """The same for a test run."""

    stream_id: str
    at: datetime
    command: TestRunCommand


class RecordRecipeInput(Value):
    """The same for a saved recipe."""

    stream_id: str
    at: datetime
    command: RecipeCommand


class RecordRebuildInput(Value):
    """The same for a rebuild schedule."""

    stream_id: str
    at: datetime
    command: RebuildCommand


class RecordResult(Value):
    """The stream's version afterwards, and how many events were appended (0 when the fact was there)."""

    version: int
    appended: int
