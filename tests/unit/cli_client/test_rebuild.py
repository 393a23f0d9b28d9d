import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.rebuild import owner_url
from cli.stack.state import Addresses, PartState, StackState, write_state
from domain.errors import Verdict
from infra.settings import load

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def write_stack(home: Path, *pids: int | None) -> None:
    (home / "run").mkdir()
    addresses = Addresses(public="", mcp="", temporal_ui=None, temporal="", operator_key="")
    parts = tuple(
        PartState(name=f"part-{n}", condition="ready", pid=pid, since=NOW, log="") for n, pid in enumerate(pids)
    )
    state = StackState(pid=1, home=str(home), ready=True, started_at=NOW, addresses=addresses, parts=parts)
    write_state(home / "run" / "state.json", state)


def test_a_configured_database_comes_first(tmp_path: Path) -> None:
    settings = load({"OPENFACTORY_HOME": str(tmp_path), "DATABASE_URL": "postgresql://mine"})
    assert owner_url(settings) == "postgresql://mine"


def test_without_a_stack_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Verdict, match=r"rebuild\.no_database"):
        owner_url(load({"OPENFACTORY_HOME": str(tmp_path)}))


def test_parts_that_hold_no_database_are_passed_over(tmp_path: Path) -> None:
    write_stack(tmp_path, None, os.getpid(), 2**22 + 1)
    with pytest.raises(Verdict, match=r"rebuild\.no_database"):
        owner_url(load({"OPENFACTORY_HOME": str(tmp_path)}))
