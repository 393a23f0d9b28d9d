"""How often somebody may ask, and how much may be sent. A refusal says when to come back."""

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
GUESTS_OF_A_NETWORK: Final = Rate(per_second=5, burst=150, at_once=32, bytes_per_second=16 << 10, burst_bytes=16 << 20)
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
        places = [(_name(caller), plan_of(caller.plan).rate, "requests with this key")]
        if caller.plan == GUEST_PLAN:
            places.append((_guests(network), GUESTS_OF_A_NETWORK, "guests at your address"))
        for name, limit, what in places:
            if not self._buckets.room(name, limit):
                raise _limited(f"There are {limit.at_once} open {what}; more wait until one ends.", _MOMENT)
        for name, limit, what in places:
            self._take(name, limit, what)
        with ExitStack() as stack:
            for name, _, _ in places:
                stack.enter_context(self._buckets.occupied(name))
            yield

    def sent(self, caller: Caller, size: int, network: str | None = None) -> None:
        """Count the bytes of what a caller sent, or named instead of sending it again.

        Raises:
            RateLimited: it is too much for the caller, or with it for the guests of this network together.

        """
        rate, name = plan_of(caller.plan).rate, _name(caller)
        self._take_bytes(name, rate, size, "is sent with this key")
        if network is None or caller.plan != GUEST_PLAN:
            return
        try:
            self._take_bytes(_guests(network), GUESTS_OF_A_NETWORK, size, "is sent by guests at your address")
        except RateLimited:
            self._buckets.give_bytes_back(name, rate, size)
            raise

    def _take(self, name: str, rate: Rate, what: str) -> None:
        wait = self._buckets.take(name, rate)
        if wait:
            raise _limited(f"Too many {what}: {rate.per_second:g} a second are answered, after {rate.burst}.", wait)

    def _take_bytes(self, name: str, rate: Rate, size: int, what: str) -> None:
        wait = self._buckets.take_bytes(name, rate, size)
        if wait:
            most = f"{rate.bytes_per_second:,} bytes a second are taken, after {rate.burst_bytes:,}"
            raise _limited(f"Too much {what}: {most}.", wait, "or send less, as a small recipe")


def _name(caller: Caller) -> str:
    return f"caller {caller.org_id} {caller.subject}"


def _guests(network: str) -> str:
    return f"guests of {network}"


def _limited(
    message: str, wait: float, advice: str = "to follow something, use wait_s instead of asking often"
) -> RateLimited:
    problem = Problem(
        code="rate.limited",
        message=message,
        retryable=True,
        next=f"Ask again in {max(1, round(wait + 0.5))} s; {advice}.",
    )
    return RateLimited(problem, retry_after=max(_MOMENT, wait))
