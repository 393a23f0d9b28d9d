"""The kinds of fault. Each is inflicted once, at moments that its seed decides, and lifted again."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from tests.faults.factory import Laboratory, guests
from tests.faults.network import Damage
from tests.faults.quick.launch import faketime
from tests.faults.quick.orders import Orders

AT_POINT = "dies at a crash point"
_LOOK_SECONDS = 0.05
Inflict = Callable[[Laboratory, random.Random], Awaitable[str]]


@dataclass(frozen=True)
class Kind:
    """A kind of fault. `inflict` answers what it did, when the fault is lifted; nothing if it did not come to it."""

    name: str
    inflict: Inflict


async def _moment(lab: Laboratory, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0.0, lab.busy))


async def _killed(part: str, lab: Laboratory, chance: random.Random) -> str:
    await _moment(lab, chance)
    heard = lab.signal(part, signal.SIGKILL)
    await asyncio.sleep(0.2)
    await lab.ready(part)
    return f"killed {part}" if heard else ""


async def _at_point(part: str, points: tuple[str, ...], lab: Laboratory, chance: random.Random) -> str:
    point, side = chance.choice(points), chance.choice(("before", "after"))
    occurrence = chance.choice((1, 1, 1, 2))
    return await crashed_at(lab, part, Orders(point=point, side=side, occurrence=occurrence))


async def crashed_at(lab: Laboratory, part: str, orders: Orders) -> str:
    """Have a part die at a point, or live if it does not get there in time."""
    lab.order(part, orders)
    await lab.restart(part)
    deadline = asyncio.get_running_loop().time() + lab.point_within
    while not lab.obeyed(part) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)
    died = lab.obeyed(part)
    lab.countermand(part)
    if not died:
        await lab.restart(part)
    await lab.ready(part)
    return f"died: {part} {orders.side} {orders.point} ({orders.occurrence})" if died else ""


async def _stopped(part: str, lab: Laboratory, chance: random.Random) -> str:
    await _moment(lab, chance)
    heard = lab.signal(part, signal.SIGSTOP)
    await asyncio.sleep(lab.beyond_heartbeat(part))
    lab.signal(part, signal.SIGCONT)
    await lab.ready(part)
    return f"stopped {part} for {lab.beyond_heartbeat(part)} s" if heard else ""


async def _full(disk: str, lab: Laboratory, chance: random.Random) -> str:
    await _moment(lab, chance)
    await asyncio.to_thread(lab.fill, disk)
    for _ in range(int(lab.held * 4)):  # what is freed meanwhile is taken, too
        await asyncio.sleep(0.25)
        await asyncio.to_thread(lab.fill_up, disk)
    lab.free(disk)
    await lab.ready()
    return f"filled the disk of {disk}"


async def _damaged(damage: Damage, lab: Laboratory, chance: random.Random) -> str:
    await _moment(lab, chance)
    lab.proxy.harm(damage, chance, share=chance.choice((0.1, 0.3, 1.0)))
    await asyncio.sleep(lab.held)
    lab.proxy.damage = "none"
    damaged = lab.proxy.damaged
    return f"{damaged} answers of the object store were {damage} ({lab.proxy.share})" if damaged else ""


async def _mirror_down(lab: Laboratory, chance: random.Random) -> str:
    lab.mirror.down = True
    await asyncio.sleep(chance.uniform(1.0, 8.0))
    lab.mirror.down = False
    return "the mirror was down"


async def _twice(lab: Laboratory, _chance: random.Random) -> str:
    parts = ("host-worker", "core-worker")
    for part in parts:
        lab.order(part, Orders(twice=True))
        await lab.restart(part)
    await asyncio.sleep(lab.busy * 2)
    for part in parts:
        lab.countermand(part)
        await lab.restart(part)
    return "ran every activity twice"


async def _clock(lab: Laboratory, chance: random.Random) -> str:
    faketime()  # says here that it is missing, not in the log of a part that does not start
    part = chance.choice(("host-worker", "core-worker", "projector", "mcp", "gateway"))
    offset = chance.choice((-7200, 7200))
    lab.order(part, Orders(clock=offset))
    await lab.restart(part)
    await asyncio.sleep(lab.busy * 2)
    lab.countermand(part)
    await lab.restart(part)
    return f"the clock of {part} was {offset:+d} s off"


async def _guest_killed(lab: Laboratory, chance: random.Random) -> str:
    await _moment(lab, chance)
    for _ in range(round(lab.machine_within / _LOOK_SECONDS)):
        if found := guests(lab.home):
            lab.kill_process(chance.choice(found))
            return "killed a machine's process"
        await asyncio.sleep(_LOOK_SECONDS)
    return ""


async def _everything(lab: Laboratory, chance: random.Random) -> str:
    await _moment(lab, chance)
    await lab.crash()
    await lab.ready()
    return "killed everything at once"


def real_kinds(points: dict[str, tuple[str, ...]]) -> tuple[Kind, ...]:
    """The kinds for real builds and machines: all, and what a quick factory does not have."""
    return (*kinds(points), Kind("libvirt killed", partial(_killed, "libvirt")))


def kinds(points: dict[str, tuple[str, ...]]) -> tuple[Kind, ...]:
    """All kinds; `points` are the crash points that each worker reaches."""
    return (
        *(Kind(f"{part} {AT_POINT}", partial(_at_point, part, named)) for part, named in points.items()),
        *(
            Kind(f"{part} killed", partial(_killed, part))
            for part in (
                *("temporal", "postgres", "s3", "forkserver"),
                *("projector", "gateway", "mcp", "core-worker", "host-worker"),
            )
        ),
        Kind("a machine's process killed", _guest_killed),
        *(
            Kind(f"{part} stopped past its heartbeat", partial(_stopped, part))
            for part in ("host-worker", "core-worker")
        ),
        *(
            Kind(f"disk full: {title}", partial(_full, disk))
            for disk, title in (
                ("host", "workspaces and blobs"),
                ("objects", "object store"),
                ("database", "database"),
            )
        ),
        Kind("object store answers 500", partial(_damaged, "error500")),
        Kind("object store breaks off", partial(_damaged, "truncated")),
        Kind("object store flips a bit", partial(_damaged, "flipped")),
        Kind("object store away", partial(_damaged, "away")),
        Kind("mirror down", _mirror_down),
        Kind("every activity runs twice", _twice),
        Kind("clock two hours off", _clock),
        Kind("everything killed and started again", _everything),
    )
