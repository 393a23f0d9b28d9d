"""Small real programs that behave like parts of the stack, and a supervisor around them in a process of its own.

`python programs.py supervise HOME` runs the parts of `parts()`; it prints a line for each change.
"""

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

from cli.stack.leftovers import PART_MARK, record
from cli.stack.part import Ends, Notifies, Part
from cli.stack.state import PartState
from cli.stack.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[3]

SERVES = """
    import infra.notify, signal
    infra.notify.ready()
    signal.pause()
"""
IGNORES_SIGTERM = """
    import infra.notify, signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    infra.notify.ready()
    while True:
        signal.pause()
"""
COMPLAINS_ONCE = """
    import infra.notify, os, pathlib, signal
    infra.notify.ready()
    complained = pathlib.Path(os.environ["OPENFACTORY_HOME"], "complained")
    if not complained.exists():
        complained.touch()
        print("this cannot go on", flush=True)
    signal.pause()
"""
HAS_A_CHILD_IN_ITS_OWN_SESSION = """
    import infra.notify, signal, subprocess
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    infra.notify.ready()
    signal.pause()
"""
DIES = """
    import sys
    sys.exit("something is wrong here")
"""
NEVER_READY = """
    import signal
    signal.pause()
"""
WRITES_A_FILE = """
    import pathlib, os
    pathlib.Path(os.environ["OPENFACTORY_HOME"], "made").write_text("x")
"""


def part(home: Path, name: str, code: str, **more: object) -> Part:
    """Make a part that runs some lines of Python."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OPENFACTORY_HOME": str(home), PART_MARK: name}
    given: dict[str, object] = {"probes": (Notifies(),), "stop_seconds": 3.0, **more}
    return Part.model_validate(
        {"name": name, "argv": (sys.executable, "-c", textwrap.dedent(code)), "env": env, **given}
    )


def parts(home: Path) -> tuple[Part, ...]:
    """A little stack: work that is done once, a server, and one behind it that starts a program of its own."""
    return (
        part(home, "first", WRITES_A_FILE, probes=(Ends(),)),
        part(home, "server", SERVES, after=("first",)),
        part(home, "worker", HAS_A_CHILD_IN_ITS_OWN_SESSION, after=("server",)),
    )


async def supervise(home: Path) -> None:
    """Run the little stack until SIGTERM."""

    def changed(state: PartState) -> None:
        record(home, state.name, state.pid)
        sys.stdout.write(f"{state.name} {state.condition} {state.pid}\n")
        sys.stdout.flush()

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    supervisor = Supervisor(parts(home), logs=home, run=home, on_change=changed)
    await supervisor.run(stop)


if __name__ == "__main__":
    asyncio.run(supervise(Path(sys.argv[2])))
