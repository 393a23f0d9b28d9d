"""How schedules are named in the workflow engine."""


def temporal_id(schedule_id: str) -> str:
    """Name the engine's schedule; the workflows that it starts have this name and a time behind it."""
    return f"rebuild-{schedule_id}"
