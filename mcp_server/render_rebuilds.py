"""Rebuild schedules as short text."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from domain.rebuild.views import SchedulePage, ScheduleView
from mcp_server.render_words import one_row


def _schedule(view: ScheduleView) -> Iterable[str]:
    replayed = " (this request was made before; nothing new was done)" if view.replayed else ""
    yield f"Schedule {view.schedule_id} of {view.name}: {_state(view)}, version {view.version}{replayed}."
    if not view.visible:
        yield "It was accepted and will show up in a moment."
    if view.last_run is not None and view.last is not None:
        outcome = view.last.outcome.replace("_", " ")
        yield f"  last look {view.last_run:%Y-%m-%d %H:%M} UTC, {outcome}: {one_row(view.last.summary)}"
        if view.last.build_id is not None:
            yield f"  build {view.last.build_id}"
    if view.next_run is not None:
        yield f"  next look {view.next_run:%Y-%m-%d %H:%M} UTC"
    if view.next is not None:
        yield f"Next: {view.next}"


def _state(view: ScheduleView) -> str:
    if view.deleted:
        return "deleted"
    return f"every {view.every_hours:g} h{', paused' if view.paused else ''}"


def _page(view: SchedulePage) -> Iterable[str]:
    if not view.schedules:
        yield "No rebuild schedules."
    for schedule in view.schedules:
        yield from _schedule(schedule)
    if view.next_cursor:
        yield f"More: call list_rebuild_schedules with cursor={view.next_cursor}"


WRITERS: dict[type[BaseModel], Callable[[Any], Iterable[str]]] = {ScheduleView: _schedule, SchedulePage: _page}
