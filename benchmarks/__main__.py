"""`python -m benchmarks [IMAGE] [--only NAME…]`: measures on a factory of its own. What boots an image needs IMAGE."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks import builds, footprint, pages, read_models, suites, visible, vm_pages, vms
from benchmarks.measure import Line, table
from cli.client.session import FactorySession
from tests.e2e.stack import Stack, running_stack

Measurement = Callable[[Stack, FactorySession], Awaitable[list[Line]]]
OnImage = Callable[[Stack, FactorySession, Path], Awaitable[list[Line]]]
_MEASUREMENTS: dict[str, Measurement] = {
    "start": footprint.second_start,
    "storing": footprint.while_storing,
    "visible": visible.create_build,
    "lag": read_models.commit_to_view,
    "rebuild": read_models.rebuild,
    "cold": builds.cold_and_edited,
    "side-by-side": builds.two_at_once,
    "unchanged": builds.unchanged,
    "pages": vm_pages.first_page,
    "builds-pages": pages.list_builds,
}
_ON_IMAGE: dict[str, OnImage] = {
    "second": vms.second_vm,
    "create": vms.create_to_ready,
    "assertions": vms.thirty_assertions,
    "suite": suites.two_machines,
}
_NAMES = (*_MEASUREMENTS, *_ON_IMAGE)


async def measure(stack: Stack, image: Path | None, names: Sequence[str]) -> None:
    """Run the measurements; each one's lines are printed when it is done, and a table of all at the end."""
    lines: list[Line] = []
    for name in names:
        async with stack.session() as session:
            if name in _MEASUREMENTS:
                found = await _MEASUREMENTS[name](stack, session)
            elif image is not None:
                found = await _ON_IMAGE[name](stack, session, image)
            else:
                continue
        sys.stdout.write("".join(f"{line}\n" for line in found))
        sys.stdout.flush()
        lines += found
    sys.stdout.write(table(lines) + "\n")


def main() -> None:
    """Read the arguments, start a factory, measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("image", type=Path, nargs="?", help="a qcow2 whose guest agent answers")
    parser.add_argument("--only", nargs="+", choices=_NAMES, default=list(_NAMES), help="measure these")
    parser.add_argument("--packages", type=Path, help="package files to begin with: cache/debs of another factory")
    given = parser.parse_args()
    image = None if given.image is None else given.image.absolute()
    with tempfile.TemporaryDirectory(prefix="of-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        if given.packages is not None:
            shutil.copytree(given.packages, home / "cache" / "debs")
        os.environ.setdefault("OPENFACTORY_BUILDS", "2")  # "side-by-side" means that, on whatever machine
        with running_stack(home) as stack:
            asyncio.run(measure(stack, image, given.only))


if __name__ == "__main__":
    main()
