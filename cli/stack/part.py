"""One part of the stack as a value: what runs, when it counts as ready, how it is stopped."""

import signal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from domain.model import Value


class Answers(Value):
    """Ready when an HTTP GET is answered, with one of `statuses` (none given: any) and `contains` in it."""

    kind: Literal["http"] = "http"
    port: int
    address: str = "127.0.0.1"
    path: str = "/"
    statuses: tuple[int, ...] = ()
    contains: str = ""


class Listens(Value):
    """Ready when a UNIX socket accepts a connection."""

    kind: Literal["socket"] = "socket"
    path: Path


class ServesPostgres(Value):
    """Ready when PostgreSQL says that it accepts connections (pg_isready(1)). `dsn` holds no password."""

    kind: Literal["postgres"] = "postgres"
    dsn: str


class Notifies(Value):
    """Ready when the part itself says so (`infra.notify.ready`)."""

    kind: Literal["notify"] = "notify"


class Ends(Value):
    """A part that does its work once: ready when it has ended with status 0, and not started again."""

    kind: Literal["ends"] = "ends"


Probe = Annotated[Answers | Listens | ServesPostgres | Notifies | Ends, Field(discriminator="kind")]


class LastingError(Value):
    """An error that a program keeps after its cause is gone: a full disk. A new start ends it.

    `said` is how its log tells of one; `folder` is on the disk, which is well again with `room_bytes` free.
    """

    said: bytes
    folder: Path
    room_bytes: int


class Part(Value):
    """A program that the supervisor keeps running.

    `env` is its whole environment; `after` names the parts that must be ready before it starts and
    that are stopped after it. Seconds throughout: `ready_seconds` is how long it may take to become
    ready, `stop_seconds` how long it has from `stop_signal` until it is killed. `leaves` are the
    files that it makes outside the data folder and does not remove itself. One with a `lasting_error`
    is started anew when it is stuck in it. A `forked` one is a module of ours (`python -m …`): it is
    forked off the fork server, or started by itself if that is not there.
    """

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    after: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    probes: tuple[Probe, ...]
    ready_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 5.0
    leaves: tuple[Path, ...] = ()
    lasting_error: LastingError | None = None
    forked: bool = False

    @property
    def once(self) -> bool:
        """Whether it runs to its end instead of serving."""
        return any(isinstance(p, Ends) for p in self.probes)

    @property
    def notifies(self) -> bool:
        """Whether it says itself that it is ready."""
        return any(isinstance(p, Notifies) for p in self.probes)
