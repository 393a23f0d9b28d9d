"""Where a command writes, and how it ends."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from cli.client import exits
from cli.client.failures import ClientFailure
from cli.client.tools import Tools
from cli.client.words import plain, problem_text
from domain.errors import Problem


@dataclass(frozen=True)
class Output:
    """Results go to `out` (standard output), everything said along the way to `notes` (standard error)."""

    as_json: bool
    out: Console
    notes: Console

    @classmethod
    def standard(cls, *, as_json: bool) -> "Output":
        """Write to this process's streams."""
        return cls(as_json=as_json, out=Console(highlight=False), notes=Console(stderr=True, highlight=False))

    @property
    def progress(self) -> Console:
        """Where progress is shown: never among the JSON."""
        return self.notes if self.as_json else self.out

    def json(self, value: Any) -> None:  # noqa: ANN401 - whatever a tool answered
        """Print one JSON document on one line; ASCII, so that no control character reaches a terminal."""
        self.out.file.write(json.dumps(value) + "\n")
        self.out.file.flush()

    def say(self, text: str) -> None:
        """Print a line for a person, without its control characters."""
        self.out.print(plain(text), soft_wrap=True)

    def problems(self, problems: tuple[Problem, ...]) -> None:
        """Print what is wrong: for people on standard error, and as JSON on standard output if that was asked."""
        for problem in problems:
            self.notes.print(problem_text(problem), soft_wrap=True)
        if self.as_json:
            self.json({"problems": [p.model_dump(mode="json") for p in problems]})


Command = Callable[[Tools, Output], Awaitable[int]]


def run(command: Command, *, as_json: bool, on_interrupt: Callable[[], str | None] = lambda: None) -> NoReturn:
    """Run a command against the factory of the environment and exit with its code.

    `on_interrupt` says what goes on after Ctrl-C, and how to come back to it.
    """
    output = Output.standard(as_json=as_json)
    try:
        code = asyncio.run(_with_session(command, output))
    except ClientFailure as failure:
        output.problems(failure.problems)
        code = failure.exit_code
    except ValidationError as error:
        output.problems((_strange_answer(error),))
        code = exits.FAILED
    except BrokenPipeError:
        sys.stderr.close()  # the reader (`head`, `less`) has seen enough; nothing can be said to it any more
        code = exits.OK
    except KeyboardInterrupt:
        if text := on_interrupt():
            output.notes.print(plain(f"\n{text}"), soft_wrap=True)
        code = exits.INTERRUPTED
    raise typer.Exit(code)


async def _with_session(command: Command, output: Output) -> int:
    # Read here: the MCP library costs a second that `--help` should not pay.
    from cli.client.session import FactorySession  # noqa: PLC0415

    async with FactorySession.from_environment() as session:
        return await command(session, output)


def _strange_answer(error: ValidationError) -> Problem:
    return Problem(
        code="client.strange_answer",
        message=f"The factory's answer cannot be read ({error.title}, {error.error_count()} differences).",
        next="Check that this command line and the factory are of the same version: openfactory whoami --json.",
    )
