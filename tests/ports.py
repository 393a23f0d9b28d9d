"""Ports for servers of tests."""

import itertools
import random

from cli.stack.ports import is_unused

# Neither those that Linux gives to outgoing connections, 32768 and up (one of those sat on the port of a factory
# whose gateway was about to listen), nor those that factories choose for their servers, 15000 and up; and not the one
# among them that browsers refuse (port blocking of the Fetch standard).
_NUMBERS = [number for number in range(10_000, 15_000) if number != 10_080]
_START = random.randrange(len(_NUMBERS))
_candidates = itertools.cycle((*_NUMBERS[_START:], *_NUMBERS[:_START]))


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody uses just now, and that this process has not been given before."""
    return list(itertools.islice(filter(is_unused, _candidates), count))


def free_port() -> int:
    """One of them."""
    [port] = free_ports(1)
    return port
