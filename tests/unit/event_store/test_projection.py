"""A read model folds each event once, in order, and knows when its shape has changed."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from domain.build.events import BuildCompleted, BuildEvent, BuildRequested
from domain.errors import Fault
from event_store.mapper import StreamEvent
from event_store.models.builds import BUILDS

STREAM = uuid4()
AT = datetime(2030, 1, 1, tzinfo=UTC)
REQUESTED = BuildRequested(
    build_id=str(STREAM),
    org_id="o",
    at=AT,
    requested_by="me",
    recipe={"name": "web", "baseImage": "debian-bookworm"},
    recipe_digest="r",
    input_digest="i",
)


def placed(version: int, event: BuildEvent = REQUESTED, stream: UUID = STREAM) -> StreamEvent:
    return StreamEvent(stream, version, event)


def test_events_are_folded_in_the_order_of_their_versions() -> None:
    state = BUILDS.apply(None, placed(1))
    state = BUILDS.apply(state, placed(2, BuildCompleted(build_id=str(STREAM), org_id="o", at=AT, seconds=3.0)))
    assert (state.status, state.version, state.seconds) == ("completed", 2, 3.0)


@pytest.mark.parametrize("version", [0, 2, 3])
def test_an_event_out_of_its_order_is_refused(version: int) -> None:
    with pytest.raises(Fault) as failed:
        BUILDS.apply(None, placed(version))
    assert failed.value.code == "projection.gap"


def test_a_row_has_a_value_for_each_column_and_keeps_the_whole_state() -> None:
    state = BUILDS.apply(None, placed(1))
    row = dict(zip(BUILDS.columns, BUILDS.row(state), strict=True))
    assert (row["build_id"], row["org_id"], row["name"], row["base"]) == (str(STREAM), "o", "web", "debian-bookworm")
    assert BUILDS.load(str(row["state"])) == state


def test_the_shape_changes_with_table_and_content() -> None:
    assert replace(BUILDS, content=lambda: "other").shape != BUILDS.shape
    assert replace(BUILDS, definition="build_id text").shape != BUILDS.shape
    assert replace(BUILDS).shape == BUILDS.shape
