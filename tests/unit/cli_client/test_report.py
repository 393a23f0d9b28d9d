import io

from rich.console import Console

from cli.client.report import render_report
from tests.fakes.tools import BUILD_ID, build_view, completed_view, failed_view, report


def printed(view: dict[str, object]) -> str:
    console = Console(file=io.StringIO(), width=140, highlight=False)
    render_report(view, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_verified_image_says_how_it_was_verified() -> None:
    text = printed(completed_view())
    assert "qcow2 booted under UEFI (tcg) in 33 s: 31 passed, 0 failed" in text
    assert "verified (UEFI, 31 assertions)" in text


def test_an_unverified_image_is_never_called_anything_else() -> None:
    line = next(line for line in printed(completed_view()).splitlines() if "demo.iso" in line)
    assert line.rstrip().endswith(" unverified")


def test_evidence_of_an_earlier_build_is_told_as_what_it_is() -> None:
    given = report("qcow2", "uefi", passed=3, failed=0)
    given["reused"] = {"build_id": BUILD_ID, "verified_at": "2030-01-02T03:04:05Z"}
    assert f"reused from build {BUILD_ID} of 2030-01-0" in printed(build_view(status="completed", reports=[given]))


def test_artifacts_have_size_and_short_digest() -> None:
    text = printed(completed_view())
    assert "400.0 MiB" in text
    assert "abababababab " in text


def test_steps_have_seconds_and_cached_ones_say_so() -> None:
    text = printed(completed_view())
    assert "cached" in text
    assert "1 min 01 s" in text


def test_a_failed_assertion_shows_what_was_expected_and_found() -> None:
    text = printed(failed_view())
    assert "recipe: the web server runs (service_running)" in text
    assert "expected: active" in text
    assert "asked by: systemctl is-active nginx" in text


def test_what_a_guest_wrote_cannot_steer_the_terminal_or_the_markup() -> None:
    text = printed(failed_view())
    assert "\x1b" not in text
    assert "owned" not in text
    assert "[red]not markup[/red]" in text


def test_a_failure_tells_where_did_you_mean_and_what_next() -> None:
    text = printed(failed_view())
    assert "Failed at verify: what was asked for is wrong." in text
    assert "where: tests[0].assertions[1]" in text
    assert "did you mean: nginx" in text
    assert f"openfactory retry {BUILD_ID} --wait" in text


def test_advice_for_assistants_is_told_as_commands() -> None:
    assert "next: Read `openfactory logs`." in printed(failed_view())


def test_failed_assertions_that_are_not_shown_are_counted() -> None:
    assert "5 more failed" in printed(build_view(status="failed", reports=[report("iso", "bios", passed=1, failed=5)]))


def test_fields_of_a_newer_factory_are_passed_over() -> None:
    assert "demo" in printed(build_view(something_new={"a": 1}))
