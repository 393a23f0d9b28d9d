"""The data folder: its layout, and the lock that says whose it is."""

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

from cli.stack.leftovers import Running, identify
from cli.stack.state import read_state
from domain.errors import Verdict
from infra.settings import Settings

_FOLDERS = ("secrets", "run", "temporal", "postgres", "s3", "libvirt", "store", "layers", "cache", "tmp", "logs")


def prepare_home(home: Path) -> None:
    """Make the folders; the data folder itself is the account's own, so nothing below needs to be.

    Raises:
        Verdict: `home.unusable`, with what to do.

    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home.stat().st_uid != os.geteuid():
            raise Verdict.because(
                "home.unusable",
                f"the data folder {home} belongs to another user",
                path="OPENFACTORY_HOME",
                next="Run this as that user, or set OPENFACTORY_HOME to a folder of your own.",
            )
        home.chmod(0o700)
        for name in _FOLDERS:
            (home / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Verdict.because(
            "home.unusable",
            f"the data folder {home} cannot be made or used: {error.strerror}",
            path="OPENFACTORY_HOME",
            next="Set OPENFACTORY_HOME to a folder that you can write.",
        ) from error


def state_path(settings: Settings) -> Path:
    """Where a supervisor tells about itself."""
    return settings.run / "state.json"


def lock_path(settings: Settings) -> Path:
    """The file whose flock(2) says that a supervisor lives; the kernel drops it with the process."""
    return settings.run / "supervisor.lock"


@contextlib.contextmanager
def held(settings: Settings) -> Generator[None]:
    """Hold the data folder for one supervisor.

    Raises:
        Verdict: `stack.running`, naming the process and the address of the one that has it.

    """
    with lock_path(settings).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            state = read_state(state_path(settings))
            who = f" (process {state.pid}, {state.addresses.public})" if state is not None else ""
            raise Verdict.because(
                "stack.running",
                f"a stack is running on {settings.home} already{who}",
                path="OPENFACTORY_HOME",
                next="Use it (openfactory status), stop it (openfactory down), or set OPENFACTORY_HOME and "
                "OPENFACTORY_PORT for a second one.",
            ) from None
        yield


def write_holder(settings: Settings) -> None:
    """Write into the lock whose it is, from the very beginning and for every version; a full disk hinders nothing."""
    ours = identify(os.getpid())
    if ours is not None:
        with contextlib.suppress(OSError):
            lock_path(settings).write_text(ours.model_dump_json() + "\n", encoding="utf-8")


def read_holder(settings: Settings) -> Running | None:
    """Tell the process of the supervisor on this data folder; nothing if it is dead or did not say."""
    try:
        written = Running.model_validate_json(lock_path(settings).read_bytes())
    except (OSError, ValueError):  # of a version that told it in its state only
        state = read_state(state_path(settings))
        return None if state is None else identify(state.pid)
    return written if identify(written.pid) == written else None


def is_held(settings: Settings) -> bool:
    """Whether a supervisor lives on this data folder."""
    try:
        with lock_path(settings).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
