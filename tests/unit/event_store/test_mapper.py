"""Events are stored under explicit names and read back equal; what cannot be read is said, not skipped."""

from uuid import UUID, uuid5

import pytest

from domain.errors import Fault
from domain.event import Event
from event_store.mapper import Cause, DomainMapper, RecordedEvent, decode, decode_event, encode
from tests.unit.event_store.examples import one_of_each

STREAM = UUID("7d444840-9dc0-41d1-b245-5ffdce74fad2")
CAUSE = Cause(run_id="run", activity_id="7")


@pytest.mark.parametrize("event", list(one_of_each()), ids=lambda event: event.NAME)
def test_an_event_is_read_back_equal(event: Event) -> None:
    recorded = RecordedEvent(STREAM, 3, CAUSE.event_id(STREAM, event.NAME, 0), CAUSE, event)
    stored = encode(recorded)
    assert stored.topic == event.NAME
    assert DomainMapper().to_domain_event(stored) == recorded
    assert decode_event(STREAM, 3, stored.topic, stored.state).event == event


def test_an_id_follows_from_stream_cause_name_and_ordinal() -> None:
    assert CAUSE.event_id(STREAM, "build.failed.v1", 2) == uuid5(STREAM, "run:7:build.failed.v1:2")


@pytest.mark.parametrize(
    ("name", "state"),
    [("build.unknown.v1", b"{}"), ("build.completed.v1", b"{}"), ("build.completed.v1", b"not json")],
)
def test_what_cannot_be_read_is_a_fault_that_names_the_event(name: str, state: bytes) -> None:
    for read in (decode, decode_event):
        with pytest.raises(Fault) as failed:
            read(STREAM, 9, name, state)
        assert failed.value.code == "log.unreadable_event"
        assert f"event 9 of stream {STREAM} ({name})" in str(failed.value)
