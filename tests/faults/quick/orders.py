"""What the laboratory tells a part of the factory to suffer, in a file that the part reads when it starts.

The supervisor starts a part that died with the environment it always had, so what a part is to do otherwise this
time is in `<home>/lab/<part>.json`: written before the part is killed, gone when all is as it should be.
"""

import os
import signal
from pathlib import Path

from domain.model import Value


class Orders(Value):
    """To die at the `occurrence`-th time that `point` is reached on this `side`; to be off in time; to do all twice.

    `note` has each point that is reached written down, once. `keeping_ahead` is for how many seconds later the
    collection of garbage holds it to be; its requests to the object store are signed with the right time.
    """

    point: str = ""
    side: str = "before"
    occurrence: int = 1
    clock: int = 0
    twice: bool = False
    note: bool = False
    keeping_ahead: int = 0


def orders_file(home: Path, part: str) -> Path:
    """Where a part's orders are."""
    return home / "lab" / f"{part}.json"


def read_orders(home: Path, part: str) -> Orders:
    """Read a part's orders; none, if there are none."""
    try:
        return Orders.model_validate_json(orders_file(home, part).read_bytes())
    except (OSError, ValueError):
        return Orders()


class Doom:
    """Counts the times that the point is reached, and kills the process when it is time: once, not at every start."""

    def __init__(self, home: Path, part: str, orders: Orders) -> None:
        self._file = orders_file(home, part)
        self._orders = orders
        self._left = orders.occurrence
        self._seen: set[str] = set()

    def reached(self, name: str, side: str) -> None:
        if self._orders.note and name not in self._seen:
            self._seen.add(name)
            with self._file.with_suffix(".points").open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")
        if name == self._orders.point and side == self._orders.side:
            self._left -= 1
            if self._left == 0:
                self._file.replace(self._file.with_suffix(".done"))
                os.kill(os.getpid(), signal.SIGKILL)
