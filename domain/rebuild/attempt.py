"""What became of the build that a schedule started, and whether that keeps it from starting another one."""

from typing import Literal

from domain.build.state import RESTING, BuildState
from domain.model import Value

Fate = Literal["open", "completed", "wrong", "over"]


class Attempt(Value):
    """The latest build that a schedule started; `words` go on from its id.

    It is `open` while it goes on, and `wrong` if its failure is a verdict: the same packages would fail again. What
    is `over` may do better another time: it met a fault, was cancelled, was deleted, or never came to the log.
    """

    build_id: str
    fate: Fate
    words: str


def attempt_of(build_id: str, state: BuildState | None) -> Attempt:
    """Tell what became of a build, of which the log holds nothing if its request was refused."""
    fate, words = _fate(state)
    return Attempt(build_id=build_id, fate=fate, words=words)


def _fate(state: BuildState | None) -> tuple[Fate, str]:
    if state is None:
        return "over", "was never recorded"
    if state.status not in RESTING:
        return "open", "is under way"
    if state.status == "completed":
        return "completed", "completed"
    if state.failure is None or state.status == "deleted":
        return "over", f"was {state.status}"
    # A parked build that was cancelled had failed before: its verdict stands.
    why = f"failed in step {state.failure.step} ({state.failure.problems[0].code})"
    return ("wrong" if state.failure.kind == "verdict" else "over"), why
