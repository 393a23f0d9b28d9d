"""The facts of a suite's definition. Names are versioned and never depend on a class path."""

from typing import Any

from domain.event import Event
from domain.suite.inputs import Binding


class SuiteEvent(Event):
    """A fact about one suite. `command_id` makes a repeated command harmless."""

    suite_id: str
    command_id: str
    requested_by: str


class SuiteCreated(SuiteEvent):
    """Someone wrote a suite. `document` is canonical."""

    NAME = "suite.created.v1"
    document: dict[str, Any]
    input_digest: str


class SuiteChanged(SuiteEvent):
    """The suite was written anew; targets of slots that are no more are gone with them."""

    NAME = "suite.changed.v1"
    document: dict[str, Any]


class TargetsChanged(SuiteEvent):
    """These are all targets from now on."""

    NAME = "suite.targets_changed.v1"
    bindings: tuple[Binding, ...]


SUITE_EVENTS: dict[str, type[SuiteEvent]] = {cls.NAME: cls for cls in (SuiteCreated, SuiteChanged, TargetsChanged)}
