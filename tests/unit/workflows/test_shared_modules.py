"""The modules of workflows are loaded once for all runs (ADR 17), so nothing in them may remember anything."""

import ast
import inspect
import sys
from collections import deque
from collections.abc import Iterator, MutableMapping, MutableSequence, MutableSet
from itertools import count, cycle

import pytest
from pydantic import BaseModel

from workflows.catalog import WORKFLOWS

_CHANGING = (MutableMapping, MutableSequence, MutableSet, deque, count, cycle)
_READ_ONLY = ("Mapping[", "Sequence[", "frozenset[", "Collection[")


def _names() -> list[str]:
    assert WORKFLOWS, "the catalog has loaded them"
    return sorted(name for name in sys.modules if name.startswith("workflows."))


def _kept(name: str) -> Iterator[str]:
    """Every name in a module, or in a class of it, whose value outlives a run and can be changed in it.

    A table is fine where its annotation is that of one which is only read: the type checker holds that.
    """
    module = sys.modules[name]
    classes = [found for _, found in inspect.getmembers(module, inspect.isclass) if found.__module__ == name]
    plain: list[object] = [found for found in classes if not issubclass(found, BaseModel)]  # its defaults are copied
    for holder in (module, *plain):
        annotations = {key: str(text) for key, text in vars(holder).get("__annotations__", {}).items()}
        for key, value in vars(holder).items():
            changes = isinstance(value, _CHANGING) or hasattr(value, "cache_info")
            generated = key.startswith(("__", "_field")) or key == "_member_map_"
            if changes and not generated and not _reads_only(annotations.get(key, "")):
                yield key


def _reads_only(annotation: str) -> bool:
    return any(word in annotation and f"Mutable{word}" not in annotation for word in _READ_ONLY)


@pytest.mark.parametrize("name", _names())
def test_a_module_keeps_nothing_between_runs(name: str) -> None:
    assert list(_kept(name)) == []


@pytest.mark.parametrize("name", _names())
def test_a_module_changes_no_name_of_its_own(name: str) -> None:
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal)]
