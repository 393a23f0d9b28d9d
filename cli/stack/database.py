"""Where the database of this machine's factory is, for commands that look into it."""

import os
from pathlib import Path

from cli.stack.state import read_state
from domain.errors import Verdict
from infra.settings import Settings


def owner_url(settings: Settings) -> str:
    """Return the database's address for its owner role: DATABASE_URL, else that of the running stack.

    Raises:
        Verdict: `rebuild.no_database`.

    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return _of_stack(settings, "DATABASE_URL", "rebuild.no_database")


def admission_url(settings: Settings) -> str:
    """Return its address for the admission role: OPENFACTORY_ADMISSION_DATABASE_URL, else that of the running stack.

    Raises:
        Verdict: `guest.no_database`.

    """
    if settings.admission_database_url is not None:
        return settings.admission_database_url.get_secret_value()
    return _of_stack(settings, "OPENFACTORY_ADMISSION_DATABASE_URL", "guest.no_database")


def _of_stack(settings: Settings, variable: str, code: str) -> str:
    """Read an embedded database's address, which is in no file, from the environment of the stack's own parts.

    proc(5) shows it to their user alone.
    """
    state = read_state(settings.run / "state.json")
    for part in state.parts if state is not None else ():
        if part.pid is not None and (url := _variable(part.pid, variable)):
            return url
    raise Verdict.because(
        code,
        f"No stack runs on {settings.home}, and {variable} is not set.",
        next=f"Start the stack with ./openfactory up, or set {variable}.",
    )


def _variable(pid: int, name: str) -> str | None:
    prefix = os.fsencode(f"{name}=")
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((os.fsdecode(pair.removeprefix(prefix)) for pair in pairs if pair.startswith(prefix)), None)
