"""What a schedule's workflow takes and gives."""

from activities.keeping.models import ApplySchedule
from domain.model import Value
from domain.rebuild.commands import RebuildCommand


class DefineRebuild(Value):
    """One command to one schedule, and whose entry of the timetable follows."""

    command: RebuildCommand
    entry: ApplySchedule


class RebuildDefined(Value):
    """The schedule's version afterwards."""

    version: int
