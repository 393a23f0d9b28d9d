"""What may be told to a schedule. Each command is decided against what the log holds."""

from typing import Annotated, Literal

from pydantic import Field

from domain.model import Value
from domain.rebuild.inputs import Look, ScheduleRequest, Timing


class CreateSchedule(Value):
    """The first fact of a schedule."""

    kind: Literal["create_schedule"] = "create_schedule"
    request: ScheduleRequest


class ChangeSchedule(Value):
    """Look at other times, stop looking for a while, or go on; what is not given stays."""

    kind: Literal["change_schedule"] = "change_schedule"
    command_id: str
    requested_by: str
    timing: Timing | None = None
    paused: bool | None = None


class DeleteSchedule(Value):
    """Never look again."""

    kind: Literal["delete_schedule"] = "delete_schedule"
    command_id: str
    requested_by: str


class RecordLook(Value):
    """Somebody looked."""

    kind: Literal["record_look"] = "record_look"
    look_id: str
    look: Look


AnyRebuildCommand = CreateSchedule | ChangeSchedule | DeleteSchedule | RecordLook
RebuildCommand = Annotated[AnyRebuildCommand, Field(discriminator="kind")]
