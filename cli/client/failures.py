"""What can go wrong between a command and the factory, each with its exit code."""

from collections.abc import Sequence

from cli.client import exits
from domain.errors import Problem


class ClientFailure(Exception):
    """A command that could not be done. `problems` are for the reader, `exit_code` for scripts."""

    exit_code: int = exits.FAILED

    def __init__(self, *problems: Problem) -> None:
        self.problems: tuple[Problem, ...] = problems
        super().__init__("; ".join(f"{p.code}: {p.message}" for p in problems))


class UsageFailure(ClientFailure):
    """The command itself cannot be understood."""

    exit_code = exits.USAGE


class Unreachable(ClientFailure):
    """Nothing answers at the factory's address, or it broke off."""

    exit_code = exits.UNAVAILABLE


class KeyRefused(ClientFailure):
    """There is no key, or the factory does not accept it."""

    exit_code = exits.NOT_PERMITTED


class TransferFailed(ClientFailure):
    """A download broke off or brought the wrong bytes; a later try may succeed."""

    exit_code = exits.TEMPORARY


class ToolFailed(ClientFailure):
    """The factory answered that it did not do it, and why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(*problems)
        self.exit_code = _exit_code(self.problems)


def _exit_code(problems: Sequence[Problem]) -> int:
    if any(p.code.split(".")[0] in {"permission", "caller", "auth"} for p in problems):
        return exits.NOT_PERMITTED
    if problems and all(p.retryable for p in problems):
        return exits.TEMPORARY
    return exits.FAILED
