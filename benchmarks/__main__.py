"""`python -m benchmarks IMAGE`: measures on a factory of its own, with a disk image to boot."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks import suites, vm_pages, vms
from benchmarks.measure import Ratio, table
from cli.client.session import FactorySession
from tests.e2e.stack import Stack, running_stack

Measurement = Callable[[Stack, FactorySession, Path], Awaitable[list[Ratio]]]
_MEASUREMENTS: dict[str, Measurement] = {
    "pages": vm_pages.first_page,
    "second": vms.second_vm,
    "create": vms.create_to_ready,
    "assertions": vms.thirty_assertions,
    "suite": suites.two_machines,
}


async def measure(stack: Stack, image: Path, names: Sequence[str]) -> None:
    """Run the measurements; each one's lines are printed when it is done, and a table of all at the end."""
    ratios: list[Ratio] = []
    async with stack.session() as session:
        for name in names:
            found = await _MEASUREMENTS[name](stack, session, image)
            sys.stdout.write("".join(f"{line}\n" for line in found))
            sys.stdout.flush()
            ratios += found
    sys.stdout.write(table(ratios) + "\n")


def main() -> None:
    """Read the arguments, start a factory, measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("image", type=Path, help="a qcow2 whose guest agent answers")
    parser.add_argument("--only", nargs="+", choices=_MEASUREMENTS, default=list(_MEASUREMENTS), help="measure these")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="of-bench-", ignore_cleanup_errors=True) as folder,
        running_stack(Path(folder) / "home") as stack,
    ):
        asyncio.run(measure(stack, given.image.absolute(), given.only))


if __name__ == "__main__":
    main()
