"""What a running supervisor tells other terminals: `run/state.json`, replaced whole at each change."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from domain.model import Value
from infra.settings import Settings

Condition = Literal["waiting", "starting", "ready", "done", "restarting", "stopping", "stopped"]


class PartState(Value):
    """One part now. `log` is the file with all it wrote; `note` says what is wrong with it."""

    name: str
    condition: Condition
    pid: int | None = None
    restarts: int = 0
    since: datetime
    log: str
    note: str | None = None


class Addresses(Value):
    """Where the stack is reached. What is embedded listens on loopback only, but for the public address."""

    public: str
    mcp: str
    temporal_ui: str | None
    temporal: str
    operator_key: str


class StackState(Value):
    """A supervisor and its parts. `ready` once every part has been ready."""

    pid: int
    home: str
    ready: bool
    started_at: datetime
    addresses: Addresses
    parts: tuple[PartState, ...]


def write_state(path: Path, state: StackState) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    draft = path.with_suffix(".new")
    draft.write_text(state.model_dump_json(indent=1) + "\n", encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(path)


def read_state(path: Path) -> StackState | None:
    """Read the file of a supervisor, dead or alive; nothing if there is none or it is of another version."""
    try:
        return StackState.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValidationError, ValueError):
        return None


def variable_of_parts(settings: Settings, name: str) -> str | None:
    """Read what a running stack's parts were told: the embedded servers' addresses are in no file.

    It is read from the environment of the parts, as proc(5) shows it to their user alone.
    """
    state = read_state(settings.run / "state.json")
    for part in state.parts if state is not None else ():
        if part.pid is not None and (value := _variable(part.pid, name)):
            return value
    return None


def _variable(pid: int, name: str) -> str | None:
    prefix = os.fsencode(f"{name}=")
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((os.fsdecode(pair.removeprefix(prefix)) for pair in pairs if pair.startswith(prefix)), None)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return pid > 0 and pid != os.getpid() and stat.rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
