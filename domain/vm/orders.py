"""What can be asked of a machine that there is. `command_id` makes a repeat harmless; times in seconds."""

from typing import Annotated, Literal

from pydantic import Field

from domain.model import Value
from domain.vm.names import Port

OrderKind = Literal[
    "start",
    "stop",
    "restart",
    "snapshot",
    "restore",
    "drop_snapshot",
    "extend",
    "delete",
    "open_forward",
    "run_command",
    "screenshot",
]
SnapshotName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$")]
GRACE = 30.0


class Order(Value):
    """A command to one machine."""

    command_id: Annotated[str, Field(min_length=1, max_length=128)]
    requested_by: str = "signal"


class StartVm(Order):
    """Power on. A machine that runs is left as it is."""

    kind: Literal["start"] = "start"


class StopVm(Order):
    """Power off: ask the guest, wait `grace`, then pull the plug; 0 pulls it at once."""

    kind: Literal["stop"] = "stop"
    grace: Annotated[float, Field(ge=0, le=600)] = GRACE
    reason: str | None = None


class RestartVm(Order):
    """Power off and on again."""

    kind: Literal["restart"] = "restart"
    grace: Annotated[float, Field(ge=0, le=600)] = GRACE


class TakeSnapshot(Order):
    """Keep the disk and, while it runs, the memory. Without a name it is called after its id."""

    kind: Literal["snapshot"] = "snapshot"
    snapshot_id: str
    name: SnapshotName | None = None


class RestoreSnapshot(Order):
    """Go back to a snapshot; what happened since is lost."""

    kind: Literal["restore"] = "restore"
    snapshot_id: str


class DropSnapshot(Order):
    """Remove a snapshot."""

    kind: Literal["drop_snapshot"] = "drop_snapshot"
    snapshot_id: str


class ExtendVm(Order):
    """Let the machine live `seconds` from now; None lets it stay until it is deleted."""

    kind: Literal["extend"] = "extend"
    seconds: Annotated[int, Field(ge=60)] | None


class DeleteVm(Order):
    """Remove the machine and all that belongs to it."""

    kind: Literal["delete"] = "delete"
    reason: str = "deleted on request"


class OpenForward(Order):
    """Make a port of the guest reachable on its host's loopback."""

    kind: Literal["open_forward"] = "open_forward"
    guest_port: Port
    host_port: Port | None = None


class RunCommand(Order):
    """Run a program in the guest as root, at most `limit`."""

    kind: Literal["run_command"] = "run_command"
    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    stdin: str = ""
    limit: Annotated[float, Field(gt=0, le=600)] = 20.0


class TakeScreenshot(Order):
    """Photograph the screen."""

    kind: Literal["screenshot"] = "screenshot"


QueuedOrder = Annotated[
    StartVm | StopVm | RestartVm | TakeSnapshot | RestoreSnapshot | DropSnapshot, Field(discriminator="kind")
]
"""Commands that are executed one after the other."""

AnyOrder = (
    StartVm
    | StopVm
    | RestartVm
    | TakeSnapshot
    | RestoreSnapshot
    | DropSnapshot
    | ExtendVm
    | DeleteVm
    | OpenForward
    | RunCommand
    | TakeScreenshot
)
