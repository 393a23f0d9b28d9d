"""What a definition's workflow takes and gives."""

from domain.model import Value
from domain.suite.commands import SuiteCommand


class DefineInput(Value):
    """One command to one suite."""

    suite_id: str
    command: SuiteCommand


class DefineResult(Value):
    """The suite's version afterwards."""

    version: int
