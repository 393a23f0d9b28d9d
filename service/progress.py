"""How far a build is, from its state, its newest progress record and earlier builds."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from domain.build.progress import StepDuration, estimate, usual_seconds, weights
from domain.build.state import RESTING, BuildState, StepState, at_work
from domain.build.steps import StepName
from domain.views import Progress
from infra.ports import LogRecord

_MOST_OF_A_STEP = 0.95  # a step that says nothing is never shown as done by its age alone


def measure(
    state: BuildState,
    *,
    now: datetime,
    latest: LogRecord | None = None,
    durations: Sequence[StepDuration] = (),
    starts_at: datetime | None = None,
) -> Progress:
    """Tell how far the build is.

    `latest` is the newest progress record of its log, `durations` come from earlier completed builds:
    with them the expected rest is known, without them it is not. A build that waits goes on at `starts_at`.
    """
    usual = usual_seconds(durations)
    rests = state.status in RESTING
    current = _current(state)
    told = latest if latest is not None and current is not None and latest.step == current.step else None
    shares: dict[StepName, float] = {
        step.step: _share(step, weights(usual)[step.step], told, now) for step in state.steps
    }
    end = None if rests else _expected_end(state, current, told, usual, now=now, starts_at=starts_at)
    return Progress(
        percent=100.0 if state.status == "completed" else estimate(shares, usual).percent,
        step=at_work(state),
        text=told.text if told is not None and not rests else None,
        elapsed_seconds=_elapsed(state, now),
        expected_seconds=None if end is None else round((end - now).total_seconds(), 1),
        expected_end=None if end is None else end.replace(microsecond=0),
    )


def is_under_way(state: BuildState) -> bool:
    """Whether a step has begun that is not done: then the newest progress record says something."""
    return _current(state) is not None


def _current(state: BuildState) -> StepState | None:
    return next((s for s in reversed(state.steps) if s.status != "completed"), None)


def _expected_end(
    state: BuildState,
    current: StepState | None,
    told: LogRecord | None,
    usual: Mapping[StepName, float],
    *,
    now: datetime,
    starts_at: datetime | None,
) -> datetime | None:
    """Reckon from when the build was last seen to move: whoever asks, and when, hears the same until it moves.

    A build that waits is reckoned from when its turn is expected.
    """
    seen = starts_at or (state.updated_at if current is None else current.started_at)
    share = 0.0
    if told is not None and told.percent is not None:
        seen = max(seen, datetime.fromtimestamp(told.at / 1000, seen.tzinfo))
        share = _told_share(told.percent)
    shares: dict[StepName, float] = {step.step: 1.0 for step in state.steps if step.status == "completed"}
    if current is not None:
        shares[current.step] = share
    left = estimate(shares, usual).left
    return None if left is None else max(now, seen + timedelta(seconds=left))


def _share(step: StepState, usual: float, told: LogRecord | None, now: datetime) -> float:
    """Which part of the step is done, 0 to 1."""
    if step.status == "completed":
        return 1.0
    if step.status != "running":
        return 0.0
    if told is not None and told.step == step.step and told.percent is not None:
        return _told_share(told.percent)
    age = max(0.0, (now - step.started_at).total_seconds())
    return min(_MOST_OF_A_STEP, age / usual) if usual > 0 else 0.0


def _told_share(percent: float) -> float:
    return min(1.0, max(0.0, percent / 100.0))


def _elapsed(state: BuildState, now: datetime) -> float:
    if state.seconds is not None:
        return round(state.seconds, 1)
    end = state.rested_at or state.updated_at if state.status in RESTING else now
    return round(max(0.0, (end - state.requested_at).total_seconds()), 1)
