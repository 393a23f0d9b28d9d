import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli.client import builds, evidence, logs, recipe_changes, recipes
from cli.client.failures import ToolFailed, Unreachable, UsageFailure
from cli.client.output import Output
from cli.main import build_app
from domain.errors import Problem
from tests.fakes.tools import BUILD_ID, Answer, FakeTools, build_view, completed_view, failed_view


class Screen:
    def __init__(self, *, as_json: bool = False) -> None:
        self._out, self._notes = io.StringIO(), io.StringIO()
        self.output = Output(
            as_json=as_json,
            out=Console(file=self._out, width=160, highlight=False),
            notes=Console(file=self._notes, width=160, highlight=False),
        )

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def notes(self) -> str:
        return self._notes.getvalue()


async def start(
    tools: FakeTools, screen: Screen, recipe: str, *, asked: dict[str, str] | None = None, **options: object
) -> int:
    given: dict[str, Any] = {"wait": False, "followed": builds.Followed()} | options
    given["asked"] = builds.Asked.model_validate(asked or {})
    return await builds.start_build(tools, screen.output, recipe, **given)


async def test_a_recipe_file_is_sent_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("name: x # a comment\n")
    tools = FakeTools(create_build=build_view())
    assert await start(tools, Screen(), str(file), asked={"request_key": "k"}) == 0
    sent = {"recipe": "name: x # a comment\n", "request_key": "k", "verify": "auto"}
    assert tools.asked == [("create_build", sent)]


async def test_a_build_can_be_told_to_verify_whatever_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tools = FakeTools(create_build=build_view())
    await start(tools, Screen(), "demo", asked={"verify": "always"})
    assert tools.asked[0][1]["verify"] == "always"


async def test_a_template_goes_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tools = FakeTools(create_build=build_view())
    await start(tools, Screen(), "demo")
    assert tools.asked[0][1]["recipe"] == "demo"


@pytest.mark.parametrize(("content", "code"), [(b"\xff\xfe", "recipe.not_text"), (b"a" * 300_000, "recipe.too_large")])
async def test_what_is_no_recipe_is_refused_before_anything_is_asked(tmp_path: Path, content: bytes, code: str) -> None:
    file = tmp_path / "my.json"
    file.write_bytes(content)
    with pytest.raises(UsageFailure, match=code):
        await start(FakeTools(), Screen(), str(file))


async def test_a_missing_file_says_what_can_be_given(tmp_path: Path) -> None:
    with pytest.raises(UsageFailure) as failure:
        await start(FakeTools(), Screen(), str(tmp_path / "none.yaml"))
    assert "openfactory recipes" in str(failure.value.problems[0].next)


async def test_a_build_that_may_have_been_heard_can_be_repeated_safely() -> None:
    away = Unreachable(Problem(code="factory.unreachable", message="away", retryable=True, next="Start it."))
    tools = FakeTools(create_build=away)
    with pytest.raises(Unreachable) as failure:
        await start(tools, Screen(), "demo")
    key = tools.asked[0][1]["request_key"]
    assert failure.value.problems[0].next == f"Start it. Repeat with --request-key {key}."


async def test_waiting_ends_with_the_report_and_zero_when_verified() -> None:
    screen = Screen()
    tools = FakeTools(create_build=build_view(), get_build_status=completed_view())
    assert await start(tools, screen, "demo", wait=True) == 0
    assert "verified (UEFI, 31 assertions)" in screen.out


@pytest.mark.parametrize(("kind", "code"), [("verdict", 1), ("fault", 75)])
async def test_a_failed_build_tells_scripts_whether_trying_again_may_help(kind: str, code: int) -> None:
    tools = FakeTools(create_build=build_view(), get_build_status=failed_view(kind))
    assert await start(tools, Screen(), "demo", wait=True) == code


async def test_with_json_standard_output_is_one_document() -> None:
    screen = Screen(as_json=True)
    tools = FakeTools(create_build=build_view(), get_build_status=[build_view(), completed_view()])
    await start(tools, screen, "demo", wait=True)
    assert json.loads(screen.out)["status"] == "completed"
    assert "base layer: started" in screen.notes


async def test_a_retry_and_its_repetition_are_one_command() -> None:
    tools = FakeTools(get_build_status=failed_view(), retry_build=build_view(status="pending", version=19))
    for _ in range(2):
        await builds.retry_build(tools, Screen().output, BUILD_ID, wait=False, followed=builds.Followed())
    keys = [arguments["request_key"] for tool, arguments in tools.asked if tool == "retry_build"]
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def test_a_waiting_retry_does_not_report_the_old_failure() -> None:
    tools = FakeTools(
        get_build_status=[failed_view(), build_view(version=19), completed_view()],
        retry_build=build_view(status="pending", version=19),
    )
    screen = Screen()
    code = await builds.retry_build(tools, screen.output, BUILD_ID, wait=True, followed=builds.Followed())
    assert code == 0
    assert "Failed at" not in screen.out


async def test_cancel_without_anyone_to_ask_wants_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    tools = FakeTools(get_build_status=build_view())
    with pytest.raises(UsageFailure, match="needs_confirmation"):
        await builds.cancel_build(tools, Screen().output, BUILD_ID, yes=False)
    assert [tool for tool, _ in tools.asked] == ["get_build_status"]


async def test_cancel_with_yes_asks_nothing() -> None:
    tools = FakeTools(cancel_build=build_view(status="cancelled"))
    assert await builds.cancel_build(tools, Screen().output, BUILD_ID, yes=True) == 0
    assert tools.asked[0][0] == "cancel_build"


async def test_the_farewell_names_the_build_that_goes_on() -> None:
    followed = builds.Followed()
    assert followed.farewell() is None
    await start(FakeTools(create_build=build_view()), Screen(), "demo", followed=followed)
    assert f"openfactory logs {BUILD_ID} --follow" in str(followed.farewell())


async def test_an_invalid_recipe_shows_every_problem_and_ends_with_one() -> None:
    problems = [
        {"code": "package.not_found", "message": "No package.", "path": "packages[3]", "suggestions": ["nginx"]},
        {"code": "recipe.unknown_key", "message": "Unknown key.", "path": "packges"},
    ]
    screen = Screen()
    tools = FakeTools(validate_recipe={"valid": False, "problems": problems})
    assert await recipes.validate_recipe(tools, screen.output, "demo") == 1
    assert "where: packages[3]" in screen.out
    assert "2 problem(s)" in screen.out


async def test_a_template_is_printed_as_a_document_that_can_be_saved() -> None:
    screen = Screen()
    detail: dict[str, object] = {
        "name": "demo",
        "title": "Demo",
        "description": "d",
        "recipe": {"name": "demo"},
        "default_packages": [],
    }
    await recipes.show_recipes(FakeTools(get_recipe=detail), screen.output, "demo")
    assert json.loads(screen.out) == {"name": "demo"}


async def test_deleted_builds_are_listed_when_they_are_asked_for() -> None:
    at = {"created_at": "2026-11-22T10:00:00Z", "updated_at": "2026-11-22T10:00:00Z"}
    build = {"build_id": BUILD_ID, "name": "demo", "base_image": "debian-bookworm", "status": "deleted", **at}
    tools, screen = FakeTools(list_builds={"builds": [build]}), Screen()
    assert await builds.list_builds(tools, screen.output, limit=5, status="deleted", cursor=None) == 0
    assert tools.asked == [("list_builds", {"limit": 5, "status": "deleted"})]
    assert "deleted" in screen.out


async def test_a_saved_recipe_that_is_no_longer_valid_is_printed_with_its_problems_beside_it() -> None:
    screen = Screen()
    problems = [{"code": "recipe.unknown_key", "message": "Unknown key.", "path": "old"}]
    detail: dict[str, object] = {"name": "mine", "description": "d", "default_packages": [], "recipe": {"old": 1}}
    told = {**detail, "problems": problems, "next": "Correct it, then call save_recipe."}
    await recipes.show_recipes(FakeTools(get_recipe=told), screen.output, "mine")
    assert json.loads(screen.out) == {"old": 1}
    assert "recipe.unknown_key" in screen.notes
    assert "`openfactory recipe-save`" in screen.notes


def log_view(*texts: str, cursor: str, end: bool, truncated: bool = False) -> dict[str, Any]:
    lines = [{"at": "2026-11-22T10:00:00Z", "step": "boot", "text": text} for text in texts]
    return {"build_id": BUILD_ID, "lines": lines, "next_cursor": cursor, "end": end, "truncated": truncated}


async def show(tools: FakeTools, screen: Screen, **options: object) -> int:
    async def no_pause(seconds: float) -> None:
        return None

    given: dict[str, Any] = {"tail": None, "follow": False, "pause": no_pause} | options
    return await logs.show_log(tools, screen.output, BUILD_ID, **given)


async def test_a_log_in_several_parts_is_printed_whole() -> None:
    screen = Screen()
    parts: list[Answer] = [
        log_view("one", cursor="a", end=False, truncated=True),
        log_view("two", cursor="b", end=False),
    ]
    tools = FakeTools(get_build_log=parts)
    await show(tools, screen)
    assert [line.split()[-1] for line in screen.out.splitlines()] == ["one", "two"]
    assert tools.asked[1][1]["cursor"] == "a"


async def test_a_search_in_a_log_is_asked_to_its_end_and_shows_numbers() -> None:
    line = {"line": 7, "at": "2026-11-22T10:00:00Z", "step": "boot", "text": "error", "match": True}
    first = {"build_id": BUILD_ID, "lines": [line], "next_cursor": "a", "end": False, "truncated": True}
    last: Answer = {"build_id": BUILD_ID, "lines": [], "next_cursor": "b", "end": True}
    tools, screen = FakeTools(get_build_log=[first, last]), Screen()
    chosen = {"search": "error", "context": 2}
    assert await logs.show_log(tools, screen.output, given="latest", tail=None, follow=False, chosen=chosen) == 0
    assert tools.asked[1] == (
        "get_build_log",
        {"build_id": BUILD_ID, "limit": logs.MOST_LINES, **chosen, "cursor": "a"},
    )
    assert screen.out.split()[0] == "7"


async def test_following_a_log_goes_on_until_its_end_and_over_a_restart() -> None:
    away = Unreachable(Problem(code="factory.unreachable", message="away", retryable=True))
    parts = [log_view("one", cursor="a", end=False), away, log_view(cursor="a", end=False)]
    tools = FakeTools(get_build_log=[*parts, log_view("two", cursor="b", end=True)])
    screen = Screen()
    assert await show(tools, screen, follow=True) == 0
    assert screen.out.count("\n") == 2


async def test_a_log_line_cannot_steer_the_terminal() -> None:
    screen = Screen()
    await show(FakeTools(get_build_log=log_view("\x1b[31mred\x9b2J", cursor="a", end=True)), screen)
    assert "\x1b" not in screen.out
    assert "\x9b" not in screen.out


async def test_a_log_as_json_is_one_line_of_the_log_per_line() -> None:
    screen = Screen(as_json=True)
    await show(FakeTools(get_build_log=log_view("one", "two", cursor="a", end=True)), screen)
    assert [json.loads(line)["text"] for line in screen.out.splitlines()] == ["one", "two"]


async def test_a_refused_tool_is_told_as_its_problems() -> None:
    refusal = ToolFailed([Problem(code="permission.denied", message="You may not build.")])
    with pytest.raises(ToolFailed) as failure:
        await start(FakeTools(create_build=refusal), Screen(), "demo")
    assert failure.value.exit_code == 77


async def test_a_change_is_told_beside_the_recipe_that_comes_out(tmp_path: Path) -> None:
    answer: Answer = {
        "valid": True,
        "changes": [{"kind": "added", "path": "packages.htop", "after": "htop"}],
        "recipe": {"name": "demo"},
    }
    tools, screen = FakeTools(customize_recipe=answer), Screen()
    patch = tmp_path / "patch.json"
    patch.write_text('{"guestAgent": false}')
    change = partial(recipe_changes.customize_recipe, recipe="demo", patch=str(patch))
    edits, settings = ["add_package:htop", "remove_user:deploy"], ["services.ssh.config.port=2222", "name=mine"]
    assert await change(tools, screen.output, edits=edits, settings=settings) == 0
    assert json.loads(screen.out) == {"name": "demo"}
    assert "+ packages.htop" in screen.notes
    assert tools.asked[0][1] == {
        "recipe": "demo",
        "patch": {"guestAgent": False},
        "edits": [
            {"edit": "add_package", "name": "htop"},
            {"edit": "remove_user", "username": "deploy"},
            {"edit": "set", "path": "services.ssh.config.port", "value": 2222},
            {"edit": "set", "path": "name", "value": "mine"},
        ],
    }


@pytest.mark.parametrize("wrong", [{"patch": "{"}, {"patch": "[]"}, {"settings": ["port"]}, {"edits": ["{"]}])
async def test_changes_that_cannot_be_read_are_refused_without_asking(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"recipe": "demo", "patch": None, "edits": [], "settings": [], **wrong}
    with pytest.raises(UsageFailure):
        await recipe_changes.customize_recipe(FakeTools(), Screen().output, **given)


async def test_deleting_a_recipe_asks_first() -> None:
    answer: Answer = {"name": "x", "version": 2, "category": "own", "description": "", "recipe_digest": "d"}
    tools = FakeTools(delete_recipe=answer, save_recipe=answer)
    with pytest.raises(UsageFailure, match=r"client\.needs_confirmation"):
        await recipe_changes.delete_recipe(tools, Screen().output, name="x", yes=False)
    assert await recipe_changes.delete_recipe(tools, Screen().output, name="x", yes=True) == 0
    assert await recipe_changes.save_recipe(tools, Screen().output, recipe="x", about={"category": "lab"}) == 0
    assert tools.asked[1][1]["category"] == "lab"


async def test_a_build_is_run_again_by_its_name() -> None:
    tools = FakeTools(create_build=build_view())
    asked = builds.Asked(request_key="k")
    rerun = builds.rerun_build(tools, Screen().output, "latest", asked=asked, wait=False, followed=builds.Followed())
    assert await rerun == 0
    assert (tools.asked[0][1]["rerun_of"], tools.asked[0][1]["request_key"]) == ("latest", "k")
    assert "recipe" not in tools.asked[0][1]


@pytest.mark.parametrize("words", [["build"], ["rerun"], ["vm", "create"]])
def test_what_is_repeated_with_a_request_key_takes_one(words: list[str]) -> None:
    result = CliRunner().invoke(build_app(), [*words, "--request-key", "k", "--help"])
    assert result.exit_code == 0
    wrong = CliRunner().invoke(build_app(), [*words, "latest", "--request-key"])
    assert "requires an argument" in wrong.output


async def test_evidence_that_is_not_sound_ends_with_one() -> None:
    image = {"name": "a.qcow2", "kind": "qcow2", "sha256": "ab" * 32, "bytes": 5, "verification": "verified"}
    answer: Answer = {
        "build_id": BUILD_ID,
        "name": "demo",
        "status": "completed",
        "sound": False,
        "recipe_sha256": "cd" * 32,
        "images": [{**image, "failures": ["\x1b[2Jgone"]}],
    }
    tools, screen = FakeTools(get_build_evidence=answer), Screen()
    assert await evidence.show_evidence(tools, screen.output, given="latest") == 1
    assert "NOT sound" in screen.out
    assert "\x1b[2J" not in screen.out


async def test_two_builds_are_shown_beside_each_other() -> None:
    side = {"name": "demo", "status": "completed", "created_at": "2026-11-22T10:00:00Z", "recipe_digest": "d"}
    answer: Answer = {
        "before": {**side, "build_id": BUILD_ID},
        "after": {**side, "build_id": BUILD_ID},
        "recipe": [{"kind": "changed", "path": "name", "before": "a", "after": "b"}],
        "packages": {"before": 2, "after": 2, "changed": [{"name": "bash", "before": "5.2", "after": "5.3"}]},
        "images": [{"kind": "iso", "bytes_before": 1024, "bytes_after": 2048}],
        "assertions": [{"image": "iso", "suite": "boot", "description": "boots", "before": True, "after": False}],
    }
    tools, screen = FakeTools(compare_builds=answer), Screen()
    assert await evidence.compare(tools, screen.output, before="latest-verified", after="latest") == 0
    assert tools.asked == [("compare_builds", {"before": "latest-verified", "after": "latest"})]
    for words in ('name "a" → "b"', "bash 5.2 → 5.3", "1.0 KiB → 2.0 KiB", "boots: holds → does not hold"):
        assert words in screen.out
