"""What RECIPE (or a suite's FILE) on a command line means: a file, standard input, or something built in."""

import sys
from pathlib import Path

from cli.client.failures import UsageFailure
from domain.errors import Problem
from domain.recipe.schema import MAX_BYTES

_BUILT_IN = {"recipe": "a template (openfactory recipes)", "suite": "an example (openfactory suite list)"}
_SUFFIXES = {".yaml", ".yml", ".json"}


def read_recipe(given: str, what: str = "recipe") -> str:
    """Return what the tools take as a recipe: a file's text as it is, `-` for standard input, else the name itself.

    Raises:
        UsageFailure: no such file, not text, or too large.

    """
    if given == "-":
        return _text(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input", what)
    path = Path(given)
    if path.suffix.lower() in _SUFFIXES or "/" in given or path.is_file():
        return _text(_read(path, what), given, what)
    return given


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageFailure(
            Problem(
                code=f"{what}.unreadable",
                message=f"The {what} cannot be read: {error.strerror}: {path}",
                next=f"Give the path of a YAML or JSON file, or the name of {_BUILT_IN[what]}.",
            )
        ) from error


def _text(data: bytes, name: str, what: str) -> str:
    if len(data) > MAX_BYTES:
        raise UsageFailure(
            Problem(
                code=f"{what}.too_large",
                message=f"{name} is larger than a {what} may be ({MAX_BYTES // 1024} KiB).",
                next="Is it the right file?",
            )
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageFailure(
            Problem(
                code=f"{what}.not_text",
                message=f"{name} is not UTF-8 text (byte {error.start}).",
                next="Save it as UTF-8. Is it the right file?",
            )
        ) from error
