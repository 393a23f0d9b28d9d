"""How often somebody may ask. A refusal says when to come back."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Final

from domain.caller import Caller
from domain.errors import Problem, RateLimited
from domain.guest import PLAN as GUEST_PLAN
from domain.plan import Rate, plan_of
from service.admission.buckets import Buckets

STRANGERS: Final = Rate(per_second=1, burst=100, at_once=1)
"""Requests of one network that carry no valid credential."""
GUESTS_OF_A_NETWORK: Final = Rate(per_second=5, burst=150, at_once=32)
"""All guests of one network together, whatever each of them may."""
_MOMENT: Final = 1.0


class Limits:
    """The buckets of one process."""

    def __init__(self, buckets: Buckets | None = None) -> None:
        self._buckets = buckets or Buckets()

    def refuse_stranger(self, network: str) -> None:
        """Count a request without a valid credential.

        Raises:
            RateLimited: there were too many; whoever has a valid one is not affected.

        """
        self._take(f"stranger {network}", STRANGERS, "requests without a valid key from your address")

    @contextmanager
    def entered(self, caller: Caller, network: str) -> Generator[None]:
        """Count a request for as long as it is open.

        Raises:
            RateLimited: the caller, or the guests of this network together, ask too much.

        """
        rate = plan_of(caller.plan).rate
        who = f"caller {caller.org_id} {caller.subject}"
        places = [(who, rate, "requests with this key")]
        if caller.plan == GUEST_PLAN:
            places.append((f"guests of {network}", GUESTS_OF_A_NETWORK, "guests at your address"))
        for name, limit, what in places:
            if not self._buckets.room(name, limit):
                raise _limited(f"There are {limit.at_once} open {what}; more wait until one ends.", _MOMENT)
        for name, limit, what in places:
            self._take(name, limit, what)
        with ExitStack() as stack:
            for name, _, _ in places:
                stack.enter_context(self._buckets.occupied(name))
            yield

    def _take(self, name: str, rate: Rate, what: str) -> None:
        wait = self._buckets.take(name, rate)
        if wait:
            raise _limited(f"Too many {what}: {rate.per_second:g} a second are answered, after {rate.burst}.", wait)


def _limited(message: str, wait: float) -> RateLimited:
    problem = Problem(
        code="rate.limited",
        message=message,
        retryable=True,
        next=f"Ask again in {max(1, round(wait + 0.5))} s; to follow something, use wait_s instead of asking often.",
    )
    return RateLimited(problem, retry_after=max(_MOMENT, wait))
