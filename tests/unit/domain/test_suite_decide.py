"""Given events, when command, then events: the definition of a suite."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import Verdict
from domain.suite.commands import AnySuiteCommand, BindTargets, ChangeSuite, CreateSuite
from domain.suite.decide import decide
from domain.suite.events import SuiteEvent
from domain.suite.inputs import Binding, SuiteRequest
from domain.suite.parse import parse_suite
from domain.suite.state import SuiteState, fold

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def document(*slots: str) -> dict[str, Any]:
    return parse_suite({"name": "s", "slots": list(slots)}).document


def create(*slots: str, org: str = "o") -> CreateSuite:
    request = SuiteRequest(
        suite_id="s1", org_id=org, requested_by="ann", document=document(*slots or ("primary", "client"))
    )
    return CreateSuite(request=request)


def bind(*slots: str, version: int = 1, command_id: str = "c1", unbind: tuple[str, ...] = ()) -> BindTargets:
    bindings = tuple(Binding(slot=slot, source="build", source_id="b") for slot in slots)
    return BindTargets(
        command_id=command_id, requested_by="ann", expected_version=version, bindings=bindings, unbind=unbind
    )


def change(*slots: str, version: int = 1, command_id: str = "c2") -> ChangeSuite:
    return ChangeSuite(command_id=command_id, requested_by="ann", expected_version=version, document=document(*slots))


class Log:
    def __init__(self, *commands: AnySuiteCommand) -> None:
        self.events: list[SuiteEvent] = []
        for command in commands:
            self.names(command)

    def names(self, command: AnySuiteCommand) -> list[str]:
        made = decide(fold(tuple(self.events)), command, now=T0)
        self.events += made
        return [event.NAME for event in made]

    def refuses(self, command: AnySuiteCommand) -> str:
        with pytest.raises(Verdict) as caught:
            self.names(command)
        return caught.value.code

    @property
    def state(self) -> SuiteState:
        state = fold(tuple(self.events))
        assert state is not None
        return state


def test_a_suite_is_created_once() -> None:
    log = Log()
    assert log.names(create()) == ["suite.created.v1"]
    assert log.names(create()) == []
    assert log.refuses(create("other")) == "request_key.reused"
    assert log.refuses(create(org="another")) == "request_key.reused"


def test_nothing_happens_to_a_suite_that_is_not_there() -> None:
    assert Log().refuses(bind("primary")) == "suite.not_found"
    assert Log().refuses(change("primary")) == "suite.not_found"


def test_targets_are_added_replaced_and_taken_away() -> None:
    log = Log(create())
    assert log.names(bind("client")) == ["suite.targets_changed.v1"]
    assert log.names(bind("primary", version=2, command_id="c2")) == ["suite.targets_changed.v1"]
    assert [binding.slot for binding in log.state.bindings] == ["primary", "client"]
    log.names(bind(version=3, command_id="c3", unbind=("client",)))
    assert [binding.slot for binding in log.state.bindings] == ["primary"]


def test_the_same_command_again_adds_nothing_even_at_a_later_version() -> None:
    log = Log(create(), bind("primary"))
    assert log.names(bind("primary")) == []


def test_what_is_so_already_adds_nothing() -> None:
    log = Log(create(), bind("primary"))
    assert log.names(bind("primary", version=2, command_id="c9")) == []
    assert log.names(change("primary", "client", version=2, command_id="c8")) == []


def test_a_command_that_saw_an_older_version_is_refused() -> None:
    log = Log(create(), bind("primary"))
    assert log.refuses(bind("client", command_id="c5")) == "suite.version_conflict"
    assert log.refuses(change("primary", command_id="c6")) == "suite.version_conflict"


def test_a_slot_that_is_none_is_refused() -> None:
    log = Log(create())
    assert log.refuses(bind("server")) == "suite.unknown_slot"
    assert log.refuses(bind(unbind=("server",))) == "suite.unknown_slot"


def test_targets_of_slots_that_are_no_more_go_with_them() -> None:
    log = Log(create(), bind("primary", "client"))
    assert log.names(change("primary", version=2)) == ["suite.changed.v1"]
    assert [binding.slot for binding in log.state.bindings] == ["primary"]
    assert (log.state.version, log.state.slots) == (3, ("primary",))
