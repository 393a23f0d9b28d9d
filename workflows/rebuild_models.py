"""What a schedule's workflow takes and gives."""

from activities.keeping.models import ApplySchedule
from domain.model import Value
from domain.rebuild.commands import RebuildCommand


class DefineRebuild(Value):
    """One command to one schedule, and the entry of the timetable that it leads to."""

    command: RebuildCommand
    entry: ApplySchedule


class RebuildDefined(Value):
    """The schedule's version afterwards."""

    version: int
