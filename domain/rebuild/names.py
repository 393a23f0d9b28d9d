"""How schedules are named in the workflow engine."""

from typing import Final

_BEGINNING: Final = "rebuild-"


def temporal_id(schedule_id: str) -> str:
    """Name the engine's schedule; the workflows that it starts have this name and a time behind it."""
    return f"{_BEGINNING}{schedule_id}"


def schedule_of(name: str) -> str | None:
    """Tell whose the engine's schedule of this name is; nothing if it is for something else."""
    return name.removeprefix(_BEGINNING) if name.startswith(_BEGINNING) else None
