"""How far a build is: steps weighed by how long they usually take. The one measure, for whatever shows it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from domain.build.steps import STEPS, StepName
from domain.model import Value

# Seconds on two cores under emulation, first build. They only weigh steps against each other; an
# expectation in seconds is given from real builds alone.
TYPICAL_SECONDS: Final[Mapping[StepName, float]] = MappingProxyType(
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
_MOST = 99.0  # only what is completed is whole


class StepDuration(Value):
    """How long a step took: the median over `samples` completed builds, in seconds."""

    step: StepName
    cached: bool
    seconds: float
    samples: int


class Estimate(NamedTuple):
    """How much is done, 0 to 100, and how many seconds the rest usually takes, if earlier builds tell."""

    percent: float
    left: float | None


def usual_seconds(durations: Sequence[StepDuration]) -> dict[StepName, float]:
    """Choose for each step what it took most often, from the cache or not; made anew if that is even."""
    ranked = sorted(durations, key=lambda d: (d.samples, not d.cached))
    return {duration.step: duration.seconds for duration in ranked}


def weights(usual: Mapping[StepName, float]) -> dict[StepName, float]:
    """Weigh every step: by what it usually takes, or what is typical."""
    return {step: usual.get(step, TYPICAL_SECONDS[step]) for step in STEPS}


def estimate(shares: Mapping[StepName, float], usual: Mapping[StepName, float]) -> Estimate:
    """Measure by how much of each step is done, 0 to 1."""
    weighed = weights(usual)
    total = sum(weighed.values()) or 1.0
    done = sum(weighed[step] * share for step, share in shares.items())
    return Estimate(round(min(_MOST, 100.0 * done / total), 1), max(0.0, total - done) if usual else None)
