"""What a machine's workflow is started with, remembers, tells and leaves."""

from datetime import datetime
from typing import Literal

from activities.machines.vm_models import CommandDone, Screenshot
from domain.errors import Problem
from domain.model import Value
from domain.vm.inputs import VmRequest
from domain.vm.orders import QueuedOrder
from domain.vm.spec import PortForward
from domain.vm.state import VmStatus
from workflows.fleet_models import Lease

__all__ = [
    "Accepted",
    "CommandDone",
    "ForwardDone",
    "Kept",
    "Remembered",
    "Screenshot",
    "VmBrief",
    "VmInput",
    "VmLife",
    "VmOutcome",
]

MOST_REMEMBERED = 50
MOST_RESULTS = 5


class Accepted(Value):
    """A command was taken: the log's version that says so."""

    command_id: str
    version: int


class ForwardDone(Value):
    """The forward with its host port, and the log's version that says so."""

    forward: PortForward
    version: int


class Remembered(Value):
    """A command that was taken, so that its repeat is answered alike. Results are kept for the last few only."""

    command_id: str
    version: int
    result: CommandDone | None = None


class Kept(Value):
    """A snapshot that there is."""

    snapshot_id: str
    memory: bool


class VmLife(Value):
    """What outlives a run of the workflow.

    `parked` says that the lease has disk only; `host_gone` that its host was lost; `begun` that the machine
    was brought up once, whatever came of it. `used_at` is when somebody last did something with it.
    """

    status: VmStatus = "pending"
    version: int = 0
    begun: bool = False
    lease: Lease | None = None
    parked: bool = False
    host_gone: bool = False
    created: bool = False
    accelerator: Literal["kvm", "tcg"] | None = None
    boot: int = 0
    ready: bool = False
    problems: tuple[Problem, ...] = ()
    snapshots: tuple[Kept, ...] = ()
    requested_at: datetime
    expires_at: datetime | None = None
    warned: bool = False
    used_at: datetime
    orders: tuple[QueuedOrder, ...] = ()
    remembered: tuple[Remembered, ...] = ()

    def remember(self, command_id: str, version: int) -> "VmLife":
        """Add a command."""
        known = (*self.remembered, Remembered(command_id=command_id, version=version))
        return self.model_copy(update={"remembered": known[-MOST_REMEMBERED:], "version": max(version, self.version)})

    def with_result(self, command_id: str, result: CommandDone) -> "VmLife":
        """Keep what a command said, and forget what the oldest said."""
        known = tuple(
            r.model_copy(update={"result": result}) if r.command_id == command_id else r for r in self.remembered
        )
        heavy = [r.command_id for r in known if r.result is not None][:-MOST_RESULTS]
        kept = tuple(r.model_copy(update={"result": None}) if r.command_id in heavy else r for r in known)
        return self.model_copy(update={"remembered": kept})


class VmInput(Value):
    """A machine to make, or to go on with. `notify` is the id of a workflow that is told `vm_changed`."""

    request: VmRequest
    notify: str | None = None
    resume: VmLife | None = None


class VmBrief(Value):
    """What a machine's owner is told, as the signal `vm_changed`. `queue` and `token` reach the machine's host."""

    vm_id: str
    status: VmStatus
    ready: bool
    version: int
    host: str | None = None
    queue: str | None = None
    token: int = 0
    boot: int = 0
    accelerator: Literal["kvm", "tcg"] | None = None
    problems: tuple[Problem, ...] = ()


class VmOutcome(Value):
    """How the machine ended."""

    vm_id: str
    removed: int
    note: str | None = None
