"""A worker that dies is noticed soon, whatever it was doing."""

import ast
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import workflows

FOLDER = Path(workflows.__file__).parent
SOON = timedelta(minutes=1)


def calls() -> list[tuple[str, str, ast.Call]]:
    """Find every call of an activity that another process does: its module, its function, itself."""
    found: list[tuple[str, str, ast.Call]] = []
    for path in sorted(FOLDER.glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.AsyncFunctionDef):
                inside = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
                found += [(path.stem, function.name, node) for node in inside if is_remote(node)]
    return found


def is_remote(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in {"execute_activity", "start_activity"}


@pytest.mark.parametrize(
    ("module", "call"), [pytest.param(where, call, id=f"{where}.{name}:{call.lineno}") for where, name, call in calls()]
)
def test_an_activity_beats_or_is_short(module: str, call: ast.Call) -> None:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "heartbeat_timeout" in given:
        return
    expression = compile(ast.Expression(given["start_to_close_timeout"]), module, "eval")
    names: dict[str, Any] = vars(import_module(f"workflows.{module}"))
    limit: timedelta = eval(expression, names)  # noqa: S307 - an expression of our own source
    assert limit <= SOON, f"a worker that dies in it is noticed after {limit}"


def test_there_are_such_calls() -> None:
    assert len(calls()) > 12
