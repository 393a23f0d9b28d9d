import os
import sys
from types import ModuleType

import pytest

from cli import leaving
from cli.leaving import leave


class Left(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """With what the process ended at once."""
    found: list[int] = []

    def end(status: int) -> None:
        found.append(status)
        raise Left

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr("logging.shutdown", lambda: None)
    return found


def test_a_process_that_used_the_engines_library_ends_at_once_with_all_written(
    statuses: list[int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, leaving.LIBRARY, ModuleType("bridge"))
    sys.stdout.write("said")
    with pytest.raises(Left):
        leave(75)
    assert statuses == [75]
    assert capfd.readouterr().out == "said"


def test_any_other_process_ends_as_usual(statuses: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, leaving.LIBRARY, raising=False)
    with pytest.raises(SystemExit) as end:
        leave(3)
    assert end.value.code == 3
    assert statuses == []
