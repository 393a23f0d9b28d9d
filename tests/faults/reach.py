"""Which crash points the workers come by while nothing goes wrong."""

from tests.faults.experiment import Experiments
from tests.faults.factory import Laboratory
from tests.faults.kinds import Kind
from tests.faults.quick.orders import Orders, orders_file

CRASHED = ("host-worker", "core-worker", "projector", "mcp", "gateway")


async def reached_points(lab: Laboratory, experiments: Experiments) -> dict[str, tuple[str, ...]]:
    """Run each operation once with every part taking notes."""
    for part in CRASHED:
        lab.order(part, Orders(note=True))
        await lab.restart(part)
    await experiments.run(Kind("none", _nothing), seed=0)
    found: dict[str, tuple[str, ...]] = {}
    for part in CRASHED:
        notes = orders_file(lab.home, part).with_suffix(".points")
        found[part] = tuple(sorted(set(notes.read_text(encoding="utf-8").splitlines()))) if notes.exists() else ()
        notes.unlink(missing_ok=True)
        lab.countermand(part)
        await lab.restart(part)
    return {part: points for part, points in found.items() if points}


async def _nothing(_lab: Laboratory, _chance: object) -> str:
    return "nothing"
