import io

import pytest
from rich.console import Console

from cli.client.build_view import follow_build
from cli.client.failures import ToolFailed, Unreachable
from domain.errors import Problem
from tests.fakes.tools import BUILD_ID, FakeTools, build_view, completed_view, failed_view, step

AWAY = Unreachable(Problem(code="factory.unreachable", message="away", retryable=True))


class Pauses:
    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, seconds: float) -> None:
        self.count += 1


def make_console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, highlight=False)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def follow(tools: FakeTools, console: Console, **options: int | bool) -> dict[str, object]:
    return await follow_build(tools, BUILD_ID, console, pause=Pauses(), **options)  # type: ignore[arg-type]


async def test_follows_until_the_build_rests_and_returns_its_last_view() -> None:
    tools = FakeTools(get_build_status=[build_view(), build_view(version=4), completed_view()])
    assert (await follow(tools, make_console()))["status"] == "completed"
    assert len(tools.asked) == 3


async def test_each_question_names_the_version_already_seen() -> None:
    tools = FakeTools(get_build_status=[build_view(version=3), build_view(version=7), completed_view()])
    await follow(tools, make_console())
    assert [arguments["since_version"] for _, arguments in tools.asked] == [0, 3, 7]


async def test_a_parked_build_ends_the_following() -> None:
    tools = FakeTools(get_build_status=[build_view(), failed_view()])
    assert (await follow(tools, make_console()))["status"] == "failed"


async def test_after_a_retry_the_old_failure_is_not_taken_for_a_new_one() -> None:
    tools = FakeTools(get_build_status=[failed_view(), build_view(version=19), completed_view()])
    assert (await follow(tools, make_console(), after_version=18))["status"] == "completed"


async def test_a_restart_of_the_factory_does_not_end_the_following() -> None:
    tools = FakeTools(get_build_status=[build_view(), AWAY, AWAY, completed_view()])
    console = make_console()
    assert (await follow(tools, console))["status"] == "completed"
    assert written(console).count("The factory does not answer; the build goes on") == 1


async def test_a_refusal_ends_the_following() -> None:
    refusal = ToolFailed([Problem(code="build.not_found", message="no such build")])
    with pytest.raises(ToolFailed):
        await follow(FakeTools(get_build_status=refusal), make_console())


async def test_plain_lines_say_each_change_of_a_step_once() -> None:
    later = build_view(
        version=5, steps=[step("resolve", "completed", seconds=4.2), step("base_layer", "completed", seconds=31.0)]
    )
    console = make_console()
    await follow(FakeTools(get_build_status=[build_view(), build_view(), later, completed_view()]), console)
    text = written(console)
    assert text.count("resolve: completed in 4.2 s: 212 packages") == 1
    assert text.count("base layer: started") == 1
    assert text.count("base layer: completed in 31 s") == 1


async def test_plain_lines_tell_elapsed_and_expected_time() -> None:
    progress = {"percent": 40.0, "step": "base_layer", "text": "unpacking", "elapsed_seconds": 20.0}
    first = build_view(progress=progress | {"expected_seconds": 95.0})
    console = make_console()
    await follow(FakeTools(get_build_status=[first, completed_view()]), console)
    assert "40 % after 20 s, about 1 min 35 s left, base layer: unpacking" in written(console)


async def test_on_a_terminal_the_steps_are_drawn_with_bar_and_current_line() -> None:
    console = make_console(terminal=True)
    await follow(FakeTools(get_build_status=[build_view(), completed_view()]), console)
    text = written(console)
    assert "assemble" in text
    assert "unpacking" in text or "100 %" in text


async def test_json_mode_never_draws() -> None:
    console = make_console(terminal=True)
    await follow(FakeTools(get_build_status=[build_view(), completed_view()]), console, json_mode=True)
    assert "\x1b" not in written(console)
