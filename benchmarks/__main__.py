"""`python -m benchmarks IMAGE`: measures on a factory of its own, with a disk image to boot."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks import suites, vm_pages, vms
from benchmarks.measure import table
from tests.e2e.stack import Stack, running_stack


async def measure(stack: Stack, image: Path) -> None:
    """Run all measurements and print a table."""
    async with stack.session() as session:
        sys.stdout.write(f"{await vms.second_vm(stack, session, image)}\n")
        ratios = [await vm_pages.first_page(stack.home)]
        for pairs in (vms.create_to_ready, vms.thirty_assertions, suites.two_machines):
            ratios += await pairs(stack, session, image)
    sys.stdout.write(table(ratios) + "\n")


def main() -> None:
    """Read the arguments, start a factory, measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("image", type=Path, help="a qcow2 whose guest agent answers")
    image = parser.parse_args().image.absolute()
    with (
        tempfile.TemporaryDirectory(prefix="of-bench-", ignore_cleanup_errors=True) as folder,
        running_stack(Path(folder) / "home") as stack,
    ):
        asyncio.run(measure(stack, image))


if __name__ == "__main__":
    main()
