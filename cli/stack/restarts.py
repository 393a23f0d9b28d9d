"""When a part that died is started again, and when that is given up. No clock of its own: times are arguments."""

from domain.model import Value


class RestartPolicy(Value):
    """Seconds throughout: the first and the longest pause, and how long a part must run to start afresh at the first.

    A part that has never been ready is given up after `give_up_deaths` or `give_up_seconds`; one that
    was ready is started again for ever.
    """

    first: float = 0.25
    longest: float = 30.0
    calm: float = 60.0
    give_up_deaths: int = 5
    give_up_seconds: float = 120.0


class Deaths:
    """The deaths of one part."""

    def __init__(self, policy: RestartPolicy, now: float) -> None:
        self.count = 0
        self._policy = policy
        self._in_a_row = 0
        self._began = now
        self._started = now

    def started(self, now: float) -> None:
        """Note that the part runs again."""
        self._started = now

    def died(self, now: float) -> float:
        """Note a death, and return how long to wait before the next start."""
        self.count += 1
        self._in_a_row = 1 if now - self._started >= self._policy.calm else self._in_a_row + 1
        return min(self._policy.first * 2.0 ** min(self._in_a_row - 1, 16), self._policy.longest)

    def hopeless(self, now: float) -> bool:
        """Whether a part that has never been ready has had its chances."""
        return self.count >= self._policy.give_up_deaths or now - self._began >= self._policy.give_up_seconds
