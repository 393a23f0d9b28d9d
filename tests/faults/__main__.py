"""Runs the laboratory and writes the table: `python -m tests.faults [--kinds TEXT] [--seeds N] [--first N]`.

Results are kept in a file, so portions add up; the table is made of all of them. `--points` walks through every crash
point that the workers reach, before and after it, instead of drawing lots.
"""

import argparse
import asyncio
import random
import signal
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path

from tests.faults.experiment import Experiments, Run, append, read
from tests.faults.factory import Laboratory, laboratory
from tests.faults.kinds import AT_POINT, Kind, crashed_at, kinds, real_kinds
from tests.faults.operations import OPERATIONS, Name
from tests.faults.quick.orders import Orders
from tests.faults.reach import CRASHED, reached_points
from tests.faults.table import publish


@asynccontextmanager
async def equipped(
    *,
    real: bool = False,
    operations: tuple[Name, ...] = OPERATIONS,
    points: bool = True,
    kept: Path | None = None,
) -> AsyncGenerator[tuple[Laboratory, Experiments, dict[str, tuple[str, ...]]]]:
    """Run a laboratory with its ground laid, and find the crash points that its workers reach, if wanted.

    `kept` is a folder to run it in that stays, with all layers that were made, and without small disks; otherwise
    nothing stays.
    """
    # A socket's name has 107 bytes (unix(7)), so the folder's is short and does not depend on TMPDIR.
    temporary = tempfile.TemporaryDirectory(prefix="of-lab-", dir="/var/tmp", ignore_cleanup_errors=True)
    with temporary if kept is None else nullcontext(str(kept)) as folder:
        async with laboratory(Path(folder) / "h", real=real, disks=kept is None) as lab:
            experiments = Experiments(lab, operations)
            await experiments.prepare()
            found = await reached_points(lab, experiments) if points else {}
            yield lab, experiments, found


async def main(options: argparse.Namespace) -> None:
    """Do the experiments that are asked for."""
    results: Path = options.results
    deadline = time.monotonic() + options.minutes * 60
    done = {(run.kind, run.seed) for run in read(results)}
    operations: tuple[Name, ...] = tuple(options.operations or (("build", "vm") if options.real else OPERATIONS))
    # Ended by a signal, too, the laboratory leaves no disk mounted and no part behind.
    doing = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: doing is not None and doing.cancel())
    async with equipped(
        real=options.real, operations=operations, points=_about_points(options), kept=options.folder
    ) as (lab, experiments, points):
        asked = [(kind, seed) for kind, seed in _asked(options, points) if (kind.name, seed) not in done]
        for found, seed in _in_turn(asked, options.in_turn):
            if time.monotonic() > deadline:
                print("the rest is for the next portion", flush=True)
                break
            began = time.monotonic()
            runs = await experiments.run(*found, seed=seed)
            append(results, runs)
            _tell(runs, time.monotonic() - began)
            if not all(run.well for run in runs):  # what one fault broke is not to be counted under the next
                await lab.crash()
                await lab.ready()
    publish(read(results))


def _about_points(options: argparse.Namespace) -> bool:
    """Whether it matters which points are reached: to find them takes a while."""
    return options.points or any(word in f"{part} {AT_POINT}" for part in CRASHED for word in options.kinds or [""])


def _asked(options: argparse.Namespace, points: dict[str, tuple[str, ...]]) -> list[tuple[Kind, int]]:
    if options.points:
        every_point = _every_point(points)
        return random.Random(options.first).sample(
            every_point, min(options.sample or len(every_point), len(every_point))
        )
    every = [real_kind(kind) for kind in real_kinds(points)] if options.real else kinds(points)
    chosen = [kind for kind in every if any(word in kind.name for word in options.kinds or [""])]
    if options.folder is not None:
        chosen = [kind for kind in chosen if "disk full" not in kind.name]  # no small disks are there
    if not chosen:
        raise SystemExit("No kind has one of these words in its name: " + ", ".join(kind.name for kind in every))
    return [(kind, options.first + n) for n in range(options.seeds) for kind in chosen]


def _in_turn(asked: list[tuple[Kind, int]], most: int) -> list[tuple[tuple[Kind, ...], int]]:
    """Put at most so many kinds of the same seed together."""
    seeds = dict.fromkeys(seed for _, seed in asked)
    every = [(seed, [kind for kind, its in asked if its == seed]) for seed in seeds]
    return [(tuple(some[n : n + most]), seed) for seed, some in every for n in range(0, len(some), most)]


def real_kind(kind: Kind) -> Kind:
    """Name a kind so that its rows stand apart in the table."""
    return Kind(f"real: {kind.name}", kind.inflict)


def _every_point(points: dict[str, tuple[str, ...]]) -> list[tuple[Kind, int]]:
    """Each point, before and after, once. The seed is the place in the list."""

    async def at(part: str, orders: Orders, lab: Laboratory, _chance: random.Random) -> str:
        return await crashed_at(lab, part, orders)

    found: list[tuple[Kind, int]] = []
    for part, named in points.items():
        for point in named:
            for side in ("before", "after"):
                inflict = partial(at, part, Orders(point=point, side=side))
                found.append((Kind(f"{part} dies at every crash point", inflict), len(found)))
    return found


def _tell(runs: tuple[Run, ...], seconds: float) -> None:
    for name in dict.fromkeys(run.kind for run in runs):
        mine = [run for run in runs if run.kind == name]
        wrong = [f"{run.operation}: {failure}" for run in mine for failure in run.failures]
        state = "well" if not wrong else "WRONG"
        ends = ", ".join(f"{run.operation} {run.ended} in {run.recovery} s" for run in mine)
        did = mine[0].did or "it did not come to it"
        print(f"[{seconds:5.1f} s] {name}, seed {mine[0].seed}: {state}: {did}; {ends}", flush=True)
        for line in wrong:
            print(f"          {line[:500]}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kinds", nargs="*", help="only kinds whose name has one of these in it")
    parser.add_argument("--operations", nargs="*", choices=OPERATIONS, help="only these")
    parser.add_argument("--real", action="store_true", help="on real builds and real, tiny machines; slow")
    parser.add_argument(
        "--seeds", type=int, default=4, help="so many faults of each kind, two of each operation under each"
    )
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no experiment after so long")
    parser.add_argument("--results", type=Path, default=Path("faults.jsonl"), help="where results are kept")
    parser.add_argument("--in-turn", type=int, default=1, help="so many kinds one after the other under one build")
    parser.add_argument("--folder", type=Path, help="run in this folder and keep it, without small disks")
    parser.add_argument("--points", action="store_true", help="walk through every crash point")
    parser.add_argument("--sample", type=int, help="of the crash points only so many, drawn by the first seed")
    asyncio.run(main(parser.parse_args()))
