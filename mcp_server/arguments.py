"""What no argument of any tool or prompt may hold: text that is no text, and numbers that are none."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, cast

from domain.errors import Problem

# Documents have readers of their own, which say where in the document it is; a program may read any text.
_READ_ELSEWHERE: Final = frozenset({"recipe", "suite", "stdin", "patch", "edits"})
_MOST: Final = 10
_LONGEST_NAME: Final = 64


def strange(
    tool: str, arguments: Mapping[str, Any], read_elsewhere: Collection[str] = _READ_ELSEWHERE
) -> tuple[Problem, ...]:
    """Name what cannot be meant, wherever it is in the arguments, but for those that are read elsewhere."""
    found: list[Problem] = []
    for name, value in arguments.items():
        if name in read_elsewhere:
            continue
        for path, words in _strange(value, name[:_LONGEST_NAME] or '""'):
            advice = f"Correct it and call {tool} again."
            found.append(Problem(code="argument.invalid", message=f"{path} {words}.", path=path, next=advice))
            if len(found) == _MOST:
                return tuple(found)
    return tuple(found)


def _strange(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if "\0" in value:
            yield path, "holds a NUL character"
        elif not value.isascii() and value.encode(errors="replace").decode() != value:
            yield path, "holds half of a surrogate pair, which is no character"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield path, "is not a finite number"
    elif isinstance(value, Mapping):
        for key, item in list(cast("Mapping[object, object]", value).items())[:1000]:
            yield from _strange(str(key), f"{path}.{str(key)[:32]}")
            yield from _strange(item, f"{path}.{str(key)[:32]}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(cast("list[object]", value)[:1000]):
            yield from _strange(item, f"{path}[{index}]")
