"""What may be told to a suite's definition. Each command is decided against what the log holds."""

from typing import Annotated, Any, Literal

from pydantic import Field

from domain.model import Value
from domain.suite.inputs import Binding, SuiteRequest


class CreateSuite(Value):
    """The first fact of a suite."""

    kind: Literal["create"] = "create"
    request: SuiteRequest


class ChangeSuite(Value):
    """Replace the definition, if it is still at the version that its writer saw."""

    kind: Literal["change"] = "change"
    command_id: str
    requested_by: str
    expected_version: int
    document: dict[str, Any]


class BindTargets(Value):
    """Give slots their images, and take them from others, if the suite is still at the version that was seen."""

    kind: Literal["bind"] = "bind"
    command_id: str
    requested_by: str
    expected_version: int
    bindings: tuple[Binding, ...] = ()
    unbind: tuple[str, ...] = ()


AnySuiteCommand = CreateSuite | ChangeSuite | BindTargets
SuiteCommand = Annotated[AnySuiteCommand, Field(discriminator="kind")]
