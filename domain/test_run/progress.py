"""How far a test run is, and when it is expected to end: the one measure, whatever shows it."""

from datetime import datetime, timedelta

from domain.test_run.state import RunState
from domain.test_run.views import RunProgress


def measure(state: RunState, now: datetime, usual: float | None) -> RunProgress | None:
    """Tell how far a run is; nothing once its verdict is there. `usual` is how many seconds the run before took."""
    if state.terminal:
        return None
    done = sum(case.seconds is not None for case in state.cases)
    running = next((case.name for case in state.cases if case.status == "running"), None)
    waiting = [machine.slot for machine in state.machines if machine.ready is None and machine.owned]
    elapsed = max(0.0, (now - state.requested_at).total_seconds())
    end = None if usual is None else max(now, state.requested_at + timedelta(seconds=usual)).replace(microsecond=0)
    return RunProgress(
        done=done,
        total=len(state.cases),
        percent=round(100.0 * done / max(1, len(state.cases)), 1),
        doing=running or (f"waiting for {', '.join(waiting)}" if waiting else None),
        elapsed_seconds=round(elapsed, 1),
        expected_seconds=None if usual is None else round(max(0.0, usual - elapsed), 1),
        expected_end=end,
    )
