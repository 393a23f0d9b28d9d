"""The canonical form of a test suite: strict, with every default spelled out.

`domain.suite.parse` makes it from what clients write. Texts may hold `${param:NAME}` and `${slot:NAME}`
(see `domain.suite.references`); this model judges a document in which they are filled in.
"""

from typing import Annotated, Literal

from pydantic import Field

from domain.model import Value
from domain.recipe.assertions import Assertion
from domain.verification import Firmware

MAX_BYTES = 256 * 1024
MAX_SLOTS = 8
MAX_STEPS = 500  # of a whole suite: a run is one workflow, whose history has an end

SuiteName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
SlotName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$")]  # also its name on the network
ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
CaseName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,126}$")]
Tag = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$")]
Line = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
GuestPath = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]{0,1023}$")]
AccountName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$")]
Text = Annotated[str, Field(max_length=65536, pattern=r"^[^\x00]*$")]
Argument = Annotated[str, Field(max_length=8192, pattern=r"^[^\x00]*$")]
ParameterValue = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")] | bool | int

PredefinedTest = Literal["boot", "login", "packages", "network", "services", "no-failed-units"]


class Slot(Value):
    """A machine of the suite, whose image is bound later. Memory and disk in MiB.

    The machines of a run share a private network on which each has its slot's name. `disk` grows a disk
    image, and gives an ISO the empty disk that it does not have otherwise.
    """

    name: SlotName
    description: Line = ""
    memory: Annotated[int, Field(ge=128, le=1 << 20)] = 1024
    cpus: Annotated[int, Field(ge=1, le=64)] = 1
    disk: Annotated[int, Field(ge=16, le=16 << 20)] | None = None
    firmware: Firmware = "uefi"
    required: bool = True


class Parameter(Value):
    """A value that a run may change. A text that is nothing but its reference takes on its type."""

    name: ParameterName
    default: ParameterValue
    description: Line = ""


class AssertStep(Value):
    """A claim about one machine, as in a recipe's tests."""

    action: Literal["assert"]
    slot: SlotName | None = None
    description: Line = ""
    assertion: Assertion


class WaitStep(Value):
    """Waits until a claim holds, `within` so many seconds."""

    action: Literal["wait"]
    slot: SlotName | None = None
    description: Line = ""
    until: Assertion
    within: Annotated[int, Field(ge=1, le=1800)] = 60


class CommandStep(Value):
    """Runs a program as root (or `user`): `argv`, or `command`, whose text goes to `sh -c` as data. `timeout` in s.

    It must end with `status` (none: any will do); what it writes must hold `contains` and match `matches`,
    a regular expression that is searched for.
    """

    action: Literal["command"]
    slot: SlotName | None = None
    description: Line = ""
    command: Text | None = None
    argv: Annotated[tuple[Argument, ...], Field(max_length=64)] = ()
    user: AccountName | None = None
    timeout: Annotated[int, Field(ge=1, le=900)] = 60
    status: Annotated[int, Field(ge=0, le=255)] | None = 0
    contains: Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")] | None = None
    matches: Annotated[str, Field(max_length=512, pattern=r"^[^\x00]*$")] | None = None


class PutFileStep(Value):
    """Writes a file into the machine; `mode` is octal, as text."""

    action: Literal["put_file"]
    slot: SlotName | None = None
    description: Line = ""
    path: GuestPath
    text: Text
    mode: Annotated[str, Field(pattern=r"^[0-7]{3,4}$")] = "0644"
    owner: AccountName = "root"


class GetFileStep(Value):
    """Keeps a file of the machine with the run's artifacts."""

    action: Literal["get_file"]
    slot: SlotName | None = None
    description: Line = ""
    path: GuestPath


Step = Annotated[
    AssertStep | WaitStep | CommandStep | PutFileStep | GetFileStep,
    Field(discriminator="action"),
]


class Case(Value):
    """Something that must work. Its steps run in order, on `slot` unless they name another; one that fails ends it."""

    name: CaseName
    description: Line = ""
    tags: Annotated[tuple[Tag, ...], Field(max_length=16)] = ()
    slot: SlotName | None = None
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=100)]


class Suite(Value):
    """Cases on named machines. `predefined` tests run on every machine, before the cases.

    `setup` runs before all cases, and if it fails none of them runs; `teardown` runs after them whatever
    came of them, but not in a run that ends early (an error, a lost machine, a cancel).
    """

    name: SuiteName
    description: Line = ""
    slots: Annotated[tuple[Slot, ...], Field(min_length=1, max_length=MAX_SLOTS)] = (Slot(name="primary"),)
    parameters: Annotated[tuple[Parameter, ...], Field(max_length=50)] = ()
    predefined: Annotated[tuple[PredefinedTest, ...], Field(max_length=6)] = ()
    setup: Annotated[tuple[Step, ...], Field(max_length=50)] = ()
    cases: Annotated[tuple[Case, ...], Field(max_length=200)] = ()
    teardown: Annotated[tuple[Step, ...], Field(max_length=50)] = ()

    @property
    def default_slot(self) -> str:
        """The machine of steps that name none: the first."""
        return self.slots[0].name
