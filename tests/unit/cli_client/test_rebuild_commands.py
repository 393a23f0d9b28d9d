"""The rebuild commands against tools that answer from lists."""

from typing import Any

import pytest

from cli.client.failures import UsageFailure
from cli.client.rebuilds import delete_schedule, list_schedules
from tests.fakes.tools import FakeTools
from tests.unit.cli_client.test_commands import Screen

SCHEDULE = "7a1c3f0e-8a51-4a3c-9d55-0b6f0e2a7c11"


def schedule(**changes: object) -> dict[str, Any]:
    view: dict[str, Any] = {"schedule_id": SCHEDULE, "name": "web", "version": 1, "paused": False}
    rhythm = {"base_image": "debian-bookworm", "recipe_digest": "ab" * 32, "every_hours": 24, "jitter_minutes": 0}
    return view | rhythm | changes


async def test_deleting_asks_first_and_needs_a_terminal_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    tools = FakeTools(
        list_rebuild_schedules={"schedules": [schedule()]}, delete_rebuild_schedule=schedule(deleted=True)
    )
    with pytest.raises(UsageFailure, match=r"client\.needs_confirmation"):
        await delete_schedule(tools, Screen().output, given="7a1c", yes=False)
    assert [tool for tool, _ in tools.asked] == ["list_rebuild_schedules"]
    screen = Screen()
    assert await delete_schedule(tools, screen.output, given="7a1c", yes=True) == 0
    assert tools.asked[-1][0] == "delete_rebuild_schedule"
    assert tools.asked[-1][1]["schedule_id"] == SCHEDULE
    assert f"Schedule {SCHEDULE} of web: deleted." in screen.out


async def test_the_list_says_how_to_go_on() -> None:
    screen = Screen()
    tools = FakeTools(list_rebuild_schedules={"schedules": [schedule()], "next_cursor": "abc"})
    assert await list_schedules(tools, screen.output, limit=1, cursor="before") == 0
    assert tools.asked == [("list_rebuild_schedules", {"limit": 1, "cursor": "before"})]
    assert "openfactory rebuild list --cursor abc" in screen.out + screen.notes


async def test_a_schedule_is_found_by_its_first_digits_on_a_later_page_too() -> None:
    other = schedule(schedule_id="11111111-1111-4111-8111-111111111111")
    pages = [{"schedules": [other], "next_cursor": "abc"}, {"schedules": [schedule()]}]
    tools = FakeTools(list_rebuild_schedules=list(pages), delete_rebuild_schedule=schedule(deleted=True))
    assert await delete_schedule(tools, Screen().output, given="7a1c", yes=True) == 0
    assert tools.asked[-1][1]["schedule_id"] == SCHEDULE
