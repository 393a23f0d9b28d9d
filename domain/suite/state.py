"""What a suite is after its events, folded in order. Folding never fails."""

from datetime import datetime
from typing import Any

from domain.model import Value
from domain.suite import events as e
from domain.suite.inputs import Binding

_COMMANDS_KEPT = 50


class SuiteState(Value):
    """One suite. `version` is the number of its events; `commands` are the ids of the latest ones."""

    suite_id: str
    org_id: str
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    document: dict[str, Any]
    input_digest: str
    bindings: tuple[Binding, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The suite's name."""
        return str(self.document.get("name", ""))

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of its slots."""
        return _slots(self.document)

    def binding(self, slot: str) -> Binding | None:
        """Find the image of a slot."""
        return next((binding for binding in self.bindings if binding.slot == slot), None)


def evolve(state: SuiteState | None, event: e.SuiteEvent) -> SuiteState:
    """Return the state after `event`. A fact that does not fit leaves the state as it is, but counted.

    Raises:
        ValueError: the stream does not begin with `suite.created.v1`.

    """
    if isinstance(event, e.SuiteCreated):
        return SuiteState(
            suite_id=event.suite_id,
            org_id=event.org_id,
            version=1 if state is None else state.version + 1,
            created_by=event.requested_by,
            created_at=event.at,
            updated_at=event.at,
            document=event.document,
            input_digest=event.input_digest,
            commands=(event.command_id,),
        )
    if state is None:
        raise ValueError(f"{event.NAME} before suite.created.v1 in {event.suite_id}")
    update: dict[str, object] = {
        "version": state.version + 1,
        "updated_at": event.at,
        "commands": (*state.commands, event.command_id)[-_COMMANDS_KEPT:],
    }
    if isinstance(event, e.SuiteChanged):
        slots = _slots(event.document)
        update["document"] = event.document
        update["bindings"] = tuple(binding for binding in state.bindings if binding.slot in slots)
    elif isinstance(event, e.TargetsChanged):
        update["bindings"] = event.bindings
    return state.model_copy(update=update)


def fold(history: tuple[e.SuiteEvent, ...]) -> SuiteState | None:
    """Fold a whole stream; nothing for an empty one."""
    state: SuiteState | None = None
    for event in history:
        state = evolve(state, event)
    return state


def _slots(document: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(slot.get("name")) for slot in document.get("slots", ()))
