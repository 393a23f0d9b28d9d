"""A downloaded workflow history, read and replayed against workflow code."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, cast

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from domain.errors import Verdict
from domain.model import Value

_FIRST: Final = {"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED", "WorkflowExecutionStarted"}
_MESSAGE: Final = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
_MACHINE: Final = re.compile(r"Nondeterminism error: (.+?) machine does not handle this event: HistoryEvent")
_TYPES: Final = re.compile(r"Nondeterminism error: ([\w ]+?) type of scheduled event '.*?' does not match .*'(.*?)'")


class History(Value):
    """A history as the Temporal UI downloads it and `temporal workflow show --output json` prints it."""

    workflow_id: str
    workflow_type: str
    events: tuple[dict[str, Any], ...]


class Divergence(Value):
    """Where history and code part. `event_id` is None when the SDK does not say where."""

    event_id: int | None
    event_type: str | None
    expected: str
    found: str
    message: str


def read_history(text: str | bytes) -> History:
    """Read a history's JSON.

    Raises:
        Verdict: `history.unreadable`.

    """
    try:
        events = cast("list[dict[str, Any]]", json.loads(text)["events"])
        started = cast("dict[str, Any]", events[0]["workflowExecutionStartedEventAttributes"])
        # The core of the SDK ends the process over a history without its run id.
        usable = events[0]["eventType"] in _FIRST and bool(started["originalExecutionRunId"])
        return History(
            workflow_id=str(started.get("workflowId") or "history"),
            workflow_type=started["workflowType"]["name"] if usable else "",
            events=tuple(events),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Verdict.because(
            "history.unreadable",
            "This is not the history of a workflow from its beginning.",
            next="Download it in the Temporal UI, or with: temporal workflow show --workflow-id ID --output json",
        ) from error


async def find_divergence(history: History, workflows: Sequence[type]) -> Divergence | None:
    """Replay `history` against `workflows`; nothing if the code does what the history says.

    Raises:
        Verdict: `history.unknown_workflow` if no workflow has the history's type.

    """
    known = {definition_name(w) for w in workflows}
    if history.workflow_type not in known:
        raise Verdict.because(
            "history.unknown_workflow",
            f"There is no workflow {history.workflow_type!r} in this version.",
            suggestions=sorted(known),
        )
    failure = await _failure(history, workflows, len(history.events))
    if failure is None:
        return None
    place = await _first_failing(history, workflows)
    failure = await _failure(history, workflows, place) or failure
    return _explained(history.events[place - 1], failure)


def definition_name(workflow: type) -> str:
    """Name a workflow as histories do: the name it was defined with, else its class's."""
    definition = getattr(workflow, "__temporal_workflow_definition", None)
    return str(getattr(definition, "name", None) or workflow.__name__)


async def _first_failing(history: History, workflows: Sequence[type]) -> int:
    """Bisect for the shortest beginning of the history that does not replay; its last event is the place."""
    low, high = 1, len(history.events)
    while low < high:
        middle = (low + high) // 2
        if await _failure(history, workflows, middle) is None:
            low = middle + 1
        else:
            high = middle
    return low


async def _failure(history: History, workflows: Sequence[type], length: int) -> str | None:
    # Replay compares commands; the sandbox, which guards running code, would only slow it down.
    replayer = Replayer(
        workflows=workflows,
        workflow_runner=UnsandboxedWorkflowRunner(),
        data_converter=pydantic_data_converter,
        runtime=_quiet_runtime(),
    )
    part = WorkflowHistory.from_json(history.workflow_id, {"events": list(history.events[:length])})
    result = await replayer.replay_workflow(part, raise_on_replay_failure=False)
    return None if result.replay_failure is None else str(result.replay_failure)


_runtimes: list[Runtime] = []


def _quiet_runtime() -> Runtime:
    """Return the one runtime of this process whose core does not log: a divergence is reported by us."""
    if not _runtimes:
        _runtimes.append(Runtime(telemetry=TelemetryConfig(logging=None)))
    return _runtimes[0]


def _explained(event: dict[str, Any], failure: str) -> Divergence:
    found = _MESSAGE.search(failure)
    message = found.group(1).replace('\\"', '"').replace("\\n", "\n") if found else failure
    kind = _plain_type(str(event["eventType"]))
    expected, code_did = f"{kind}{_subject(event)}", message
    if types := _TYPES.search(message):
        code_did = f"{types.group(1)} {types.group(2)!r}"
    elif machine := _MACHINE.search(message):
        code_did = f"{machine.group(1).lower()}, a command that the history does not have here"
    elif "TMPRL1100" not in message:
        code_did = f"raised: {message}"
    return Divergence(
        event_id=int(event["eventId"]), event_type=kind, expected=expected, found=code_did, message=message
    )


def _plain_type(event_type: str) -> str:
    """`EVENT_TYPE_ACTIVITY_TASK_SCHEDULED` as `ActivityTaskScheduled`, the UI's spelling."""
    if not event_type.startswith("EVENT_TYPE_"):
        return event_type
    return event_type.removeprefix("EVENT_TYPE_").title().replace("_", "")


def _subject(event: dict[str, Any]) -> str:
    """Say which activity, timer or signal the event is about, if it is about one."""
    for key, attributes in event.items():
        if key.endswith("EventAttributes") and isinstance(attributes, dict):
            inner = cast("dict[str, Any]", attributes)
            named = cast("dict[str, Any]", inner.get("activityType") or inner.get("workflowType") or {})
            name: object = (
                named.get("name") or inner.get("timerId") or inner.get("signalName") or inner.get("markerName")
            )
            return f" {name!r}" if name else ""
    return ""
