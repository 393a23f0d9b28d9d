"""How far a build is: finished steps weighed by how long they usually take."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from domain.build.state import BuildState, StepState
from domain.build.steps import STEPS, StepName
from domain.views import Progress
from event_store.models.builds import StepDuration
from infra.ports import LogRecord

# Seconds on two cores under emulation, first build. They only weigh steps against each other; an
# expectation in seconds is given from real builds alone.
TYPICAL_SECONDS: Mapping[StepName, float] = MappingProxyType(
    {
        "resolve": 15.0,
        "base_layer": 40.0,
        "package_layer": 40.0,
        "configuration_layer": 10.0,
        "assemble": 60.0,
        "boot": 60.0,
        "verify": 45.0,
        "publish": 15.0,
    }
)
_MOST_OF_A_STEP = 0.95  # a step that says nothing is never shown as done by its age alone
SETTLED = frozenset({"completed", "failed", "cancelled", "deleted"})


def usual_seconds(durations: Sequence[StepDuration]) -> dict[StepName, float]:
    """Choose for each step what it took most often, from the cache or not; made anew if that is even."""
    ranked = sorted(durations, key=lambda d: (d.samples, not d.cached))
    return {duration.step: duration.seconds for duration in ranked}


def measure(
    state: BuildState, *, now: datetime, latest: LogRecord | None = None, durations: Sequence[StepDuration] = ()
) -> Progress:
    """Tell how far the build is.

    `latest` is the newest progress record of its log, `durations` come from earlier completed builds:
    with them the expected rest is known, without them it is not.
    """
    measured = usual_seconds(durations)
    weights = {step: measured.get(step, TYPICAL_SECONDS[step]) for step in STEPS}
    shares = {step.step: _share(step, weights[step.step], latest, now) for step in state.steps}
    total = sum(weights.values()) or 1.0
    done = sum(weights[step] * share for step, share in shares.items())
    current = next((s for s in reversed(state.steps) if s.status != "completed"), None)
    settled = state.status in SETTLED
    left = max(0.0, total - done) if measured and not settled else None
    fits = latest is not None and current is not None and latest.step == current.step
    return Progress(
        percent=100.0 if state.status == "completed" else round(min(99.0, 100.0 * done / total), 1),
        step=current.step if current else None,
        text=latest.text if fits and latest is not None and not settled else None,
        elapsed_seconds=_elapsed(state, now),
        expected_seconds=None if left is None else round(left, 1),
        expected_end=None if left is None else (now + timedelta(seconds=left)).replace(microsecond=0),
    )


def _share(step: StepState, usual: float, latest: LogRecord | None, now: datetime) -> float:
    """Which part of the step is done, 0 to 1."""
    if step.status == "completed":
        return 1.0
    if step.status != "running":
        return 0.0
    if latest is not None and latest.step == step.step and latest.percent is not None:
        return min(1.0, max(0.0, latest.percent / 100.0))
    age = max(0.0, (now - step.started_at).total_seconds())
    return min(_MOST_OF_A_STEP, age / usual) if usual > 0 else 0.0


def _elapsed(state: BuildState, now: datetime) -> float:
    if state.seconds is not None:
        return round(state.seconds, 1)
    end = state.updated_at if state.status in SETTLED else now
    return round(max(0.0, (end - state.requested_at).total_seconds()), 1)
