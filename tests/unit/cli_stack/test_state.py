import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.stack.state import Addresses, PartState, StackState, read_state, write_state

STATE = StackState(
    pid=1,
    home="/home",
    ready=True,
    started_at=datetime(2030, 1, 1, tzinfo=UTC),
    addresses=Addresses(public="p", mcp="m", temporal_ui=None, temporal="t", operator_key="k"),
    parts=(PartState(name="s3", condition="ready", pid=5, since=datetime(2030, 1, 1, tzinfo=UTC), log="l"),),
)


def test_what_is_written_is_read_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    write_state(tmp_path / "state.json", STATE)
    assert read_state(tmp_path / "state.json") == STATE
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1, "of": "another version"}'])
def test_a_state_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    assert read_state(tmp_path / "state.json") is None


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert read_state(tmp_path / "state.json") is None
