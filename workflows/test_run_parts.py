"""The parts of a case: what is asked of a machine in one activity, and what may be asked before its turn."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.recipe.assertions import Assertion, HttpRespondsAssertion
    from domain.suite.schema import AssertStep, Step

# What these claim may also be so for another reason at first: nothing has failed yet, nothing is there yet. And a
# command may be anything, and change the guest.
_IN_TURN_ONLY = frozenset({"command_succeeds", "command_output", "no_failed_units", "package_not_installed"})
_FIRST_REFUSAL = 400  # of HTTP's statuses


class Part(NamedTuple):
    """Steps on one machine: claims that follow each other, or one other step."""

    slot: str
    steps: tuple[Step, ...]

    @property
    def only_looks(self) -> bool:
        """Whether it asks for nothing but what is there, and is to be there from then on.

        The opposite of a claim is true before anything has begun. A deadline says that something is being waited for,
        so what comes behind it comes later.
        """
        return all(isinstance(step, AssertStep) and _only_looks(step.assertion) for step in self.steps)


def rounds(steps: Sequence[Step]) -> Iterator[tuple[Part, ...]]:
    """Put parts together that may be asked side by side: each of another machine, and none changes anything."""
    together: list[Part] = []
    for part in _parts(steps):
        if together and not (_fits(together[-1], part) and part.slot not in {other.slot for other in together}):
            yield tuple(together)
            together = []
        together.append(part)
    if together:
        yield tuple(together)


def _fits(before: Part, part: Part) -> bool:
    return before.only_looks and part.only_looks


def _parts(steps: Sequence[Step]) -> Iterator[Part]:
    """Put claims that follow each other on one machine together; every other step stands alone."""
    alone = iter(range(len(steps)))
    for (slot, _), group in groupby(steps, lambda s: (s.slot or "", -1 if isinstance(s, AssertStep) else next(alone))):
        yield Part(slot, tuple(group))


def _only_looks(assertion: Assertion) -> bool:
    if assertion.negated or assertion.within is not None or assertion.type in _IN_TURN_ONLY:
        return False
    if isinstance(assertion, HttpRespondsAssertion):
        return assertion.params.method in {"GET", "HEAD"} and assertion.params.status < _FIRST_REFUSAL
    return True
