"""What is asked of a test run: machines, cases in order, and what ties a result to that request."""

from typing import Annotated, Any, Literal

from pydantic import Field

from domain.artifacts import Verification
from domain.model import Value
from domain.suite.schema import PredefinedTest, Step
from domain.verification import Firmware
from domain.vm.spec import ImageRef

RunKind = Literal["verification", "suite"]
TargetKind = Literal["build", "image", "vm", "suite"]
CaseKind = Literal["predefined", "recipe", "setup", "case", "teardown"]

LONGEST_HOLD = 24 * 3600


class RunTarget(Value):
    """What is tested: a build, an uploaded image, a running VM, or the images bound to a suite (at its `version`)."""

    kind: TargetKind
    id: str
    version: int | None = None


class RunMachine(Value):
    """The machine of one slot: an image to boot as a VM of the run's own, or a VM that runs already.

    Of a VM that runs already, `queue` and `token` are its host's task queue and its lease there. `recipe`
    is the canonical recipe of the image, if it is known: it says what the predefined tests look for.
    Memory and disk in MiB.
    """

    slot: str
    image: ImageRef | None = None
    verification: Verification = "unverified"
    vm_id: str | None = None
    queue: str = ""
    token: int = 0
    accelerator: Literal["kvm", "tcg"] = "tcg"
    recipe: dict[str, Any] | None = None
    memory: int = 1024
    cpus: int = 1
    disk: int | None = None
    firmware: Firmware = "uefi"


class RunCase(Value):
    """One case to run. Every step names its machine; a `predefined` case has no steps of its own."""

    name: str
    kind: CaseKind = "case"
    description: str = ""
    tags: tuple[str, ...] = ()
    slot: str
    predefined: PredefinedTest | None = None
    steps: tuple[Step, ...] = ()


class RunPlan(Value):
    """All that a run does. On failure its machines stay for `hold_seconds` (0: they are given back at once).

    `previous` is the run to compare with.
    """

    kind: RunKind
    name: str
    target: RunTarget
    machines: tuple[RunMachine, ...]
    cases: tuple[RunCase, ...]
    parameters: dict[str, str | bool | int] = Field(default_factory=dict[str, str | bool | int])
    hold_seconds: Annotated[int, Field(ge=0, le=LONGEST_HOLD)] = 0
    rerun_of: str | None = None
    previous: str | None = None


class RunRequest(Value):
    """A validated request.

    `account` names the organization's plan, whose quota its machines count against. `input_digest` is what
    a repeated request must have in common: of what was asked, not of the plan, which follows from what the
    suite and its builds were like at that moment. `usual_seconds` is how long the run before took.
    """

    run_id: str
    org_id: str
    requested_by: str
    account: str = "operator"
    input_digest: str
    plan: RunPlan
    usual_seconds: float | None = None
