"""Between the frozen domain events and what the `eventsourcing` library stores.

A stored event is the event's explicit name and an envelope of JSON: who caused it, its id, the event.
The id is in the envelope and not in a column of its own because it is only ever looked for in its own
stream, which has to be read anyway to decide: so the library's table and SQL stay as they are, and the
table's primary key (stream, version) alone settles every race.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid5

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from pydantic import ConfigDict, ValidationError

from domain.build.events import BUILD_EVENTS
from domain.errors import Fault
from domain.event import Event
from domain.image.events import IMAGE_EVENTS
from domain.model import Value
from domain.rebuild.events import REBUILD_EVENTS
from domain.saved_recipe.events import SAVED_RECIPE_EVENTS
from domain.suite.events import SUITE_EVENTS
from domain.test_run.events import TEST_RUN_EVENTS
from domain.vm.events import VM_EVENTS

E = TypeVar("E", bound=Event)

EVENTS: dict[str, type[Event]] = {
    **BUILD_EVENTS,
    **VM_EVENTS,
    **IMAGE_EVENTS,
    **SUITE_EVENTS,
    **TEST_RUN_EVENTS,
    **SAVED_RECIPE_EVENTS,
    **REBUILD_EVENTS,
}
"""Every event by its stored name."""


def others(names: frozenset[str]) -> list[str]:
    """Answer all known names but these: what a reader of these may pass over. An unknown name never is."""
    return sorted(EVENTS.keys() - names)


class Cause(Value):
    """The activity that appends, and what: `command` is a digest of that. A reset workflow has a new run id.

    The activity alone does not tell. Local activities are numbered as a workflow comes by them, and of a workflow task
    that was never completed the engine knows nothing: what such a one had recorded under a number may be followed, in
    its repeat, by a signal that came first, and something else is recorded under that number.
    """

    run_id: str
    activity_id: str
    command: str = ""

    def event_id(self, stream: UUID, name: str, ordinal: int) -> UUID:
        """Name the event that this cause adds to `stream` at `ordinal` of its batch."""
        what = f"{self.activity_id}/{self.command}" if self.command else self.activity_id
        return uuid5(stream, f"{self.run_id}:{what}:{name}:{ordinal}")


class Envelope(Value, Generic[E]):
    """What is stored as an event's state."""

    id: UUID
    cause: Cause
    event: E


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event at its place in a stream, which is all that a fold needs; versions count from 1."""

    stream: UUID
    version: int
    event: Event


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event at its place in a stream; versions count from 1."""

    originator_id: UUID
    originator_version: int
    id: UUID
    cause: Cause
    event: Event


class _EventOnly(Value, Generic[E]):
    """An envelope of which only the event is read, in half the time."""

    model_config = ConfigDict(extra="ignore")
    event: E


_ENVELOPES: dict[str, type[Envelope[Any]]] = {name: Envelope[cls] for name, cls in EVENTS.items()}
_EVENTS_ONLY: dict[str, type[_EventOnly[Any]]] = {name: _EventOnly[cls] for name, cls in EVENTS.items()}


class DomainMapper(Mapper[UUID]):
    """Stores events under their names, never under a class path."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Write a `RecordedEvent`."""
        if not isinstance(domain_event, RecordedEvent):
            raise TypeError(type(domain_event))
        return encode(domain_event)

    def to_domain_event(self, stored_event: StoredEvent) -> RecordedEvent:
        """Read a `RecordedEvent`."""
        stream = stored_event.originator_id
        if not isinstance(stream, UUID):
            raise TypeError(type(stream))
        return decode(stream, stored_event.originator_version, stored_event.topic, stored_event.state)


def encode(recorded: RecordedEvent) -> StoredEvent:
    """Write an event as the library stores it."""
    name = recorded.event.NAME
    envelope = _ENVELOPES[name](id=recorded.id, cause=recorded.cause, event=recorded.event)
    return StoredEvent(
        originator_id=recorded.originator_id,
        originator_version=recorded.originator_version,
        topic=name,
        state=envelope.model_dump_json().encode(),
    )


def decode(stream: UUID, version: int, name: str, state: bytes) -> RecordedEvent:
    """Read a stored event.

    Raises:
        Fault: `log.unreadable_event`, with its stream and version: it was written by newer code or damaged.

    """
    envelope = _ENVELOPES.get(name)
    if envelope is None:
        raise _unreadable(stream, version, name, "this code does not know its name")
    try:
        read = envelope.model_validate_json(state)
    except ValidationError as error:
        raise _unreadable(stream, version, name, str(error)) from error
    return RecordedEvent(stream, version, read.id, read.cause, read.event)


def decode_event(stream: UUID, version: int, name: str, state: bytes) -> StreamEvent:
    """Read of a stored event what a fold needs.

    Raises:
        Fault: `log.unreadable_event`.

    """
    envelope = _EVENTS_ONLY.get(name)
    if envelope is None:
        raise _unreadable(stream, version, name, "this code does not know its name")
    try:
        return StreamEvent(stream, version, envelope.model_validate_json(state).event)
    except ValidationError as error:
        raise _unreadable(stream, version, name, str(error)) from error


def _unreadable(stream: UUID, version: int, name: str, reason: str) -> Fault:
    return Fault.because(
        "log.unreadable_event",
        f"event {version} of stream {stream} ({name}) cannot be read: {reason}",
        next="Run the release that wrote it, or a newer one; nothing is skipped in the meantime.",
    )
