"""Which steps of a case are done side by side."""

from typing import Any

import pytest

from domain.suite.parse import parse_suite
from workflows.test_run_parts import rounds

LISTENS: dict[str, Any] = {"type": "port_listening", "params": {"port": 80}}
EXISTS: dict[str, Any] = {"type": "file_exists", "params": {"path": "/etc/passwd"}}
ANSWERS: dict[str, Any] = {"type": "http_responds", "params": {"url": "http://server/"}}


def of(*steps: tuple[str, dict[str, Any]]) -> list[list[tuple[str, int]]]:
    """Each round's parts: the machine, and how many steps."""
    slots = ["server", "client", "third"]
    written = [{"slot": slot, **step} for slot, step in steps]
    suite = parse_suite({"name": "s", "slots": slots, "cases": [{"name": "c", "steps": written}]}).suite
    return [[(part.slot, len(part.steps)) for part in together] for together in rounds(suite.cases[0].steps)]


def test_claims_about_one_machine_are_one_part() -> None:
    assert of(("server", LISTENS), ("server", EXISTS)) == [[("server", 2)]]


def test_claims_about_several_machines_are_asked_side_by_side() -> None:
    steps = (("server", LISTENS), ("server", EXISTS), ("client", ANSWERS), ("third", EXISTS))
    assert of(*steps) == [[("server", 2), ("client", 1), ("third", 1)]]


def test_a_machine_is_asked_once_at_a_time() -> None:
    steps = (("server", LISTENS), ("client", EXISTS), ("server", EXISTS), ("client", LISTENS))
    assert of(*steps) == [[("server", 1), ("client", 1)], [("server", 1), ("client", 1)]]


@pytest.mark.parametrize(
    "step",
    [
        {"action": "command", "command": "true"},
        {"action": "wait", "until": EXISTS},
        {"action": "put_file", "path": "/srv/a", "text": "a"},
        {"type": "command_succeeds", "params": {"command": "touch /srv/a"}},
        {"type": "command_output", "params": {"command": "date", "contains": "2"}},
        {**LISTENS, "not": True},
        {**LISTENS, "within": 30},
        {"type": "no_failed_units"},
        {"type": "package_not_installed", "params": {"package": "nginx"}},
        {"type": "http_responds", "params": {"url": "http://server/", "method": "POST"}},
        {"type": "http_responds", "params": {"url": "http://server/", "status": 503}},
    ],
)
def test_what_changes_a_guest_or_waits_or_denies_keeps_its_turn(step: dict[str, Any]) -> None:
    assert of(("server", step), ("client", EXISTS)) == [[("server", 1)], [("client", 1)]]
    assert of(("server", EXISTS), ("client", step)) == [[("server", 1)], [("client", 1)]]
