"""What the activities that test a VM take and give. Frozen values only: workflows import this module.

`run_id` and `label` name the log that the activity writes: `logs/<run_id>/<label>/…`. References to other
machines and to parameters are filled in before.
"""

from typing import Any, Literal

from activities.vm_ref import VmRef
from domain.model import Value
from domain.recipe.assertions import Assertion
from domain.suite.schema import Step
from domain.verification import AssertionResult

DefaultSuite = Literal["boot", "login", "packages", "network", "services"]
DEFAULT_SUITES: tuple[DefaultSuite, ...] = ("boot", "login", "packages", "network", "services")


class GuestCheck(Value):
    """One assertion, reported under the name `suite` (a test's or a case's)."""

    suite: str
    assertion: Assertion


class CheckVm(Value):
    """Check a running VM: the default suites first, then `checks` in order.

    `login`, `packages` and `services` are about a recipe and say nothing without one. A claim that may
    become true a little later is asked again for `settle` seconds (None: what suits the accelerator).
    """

    vm: VmRef
    run_id: str
    label: str
    checks: tuple[GuestCheck, ...] = ()
    defaults: tuple[DefaultSuite, ...] = ()
    recipe: dict[str, Any] | None = None
    accelerator: Literal["kvm", "tcg"] = "tcg"
    settle: float | None = None


class VmChecked(Value):
    """What was found, in the order asked. A failed assertion is a result here, not an error."""

    results: tuple[AssertionResult, ...]


class RunStep(Value):
    """Do one step of a case on the running VM of its slot; what it keeps lies under `artifacts/<run_id>/<label>/`."""

    vm: VmRef
    run_id: str
    label: str
    suite: str
    step: Step
    accelerator: Literal["kvm", "tcg"] = "tcg"


class StepDone(Value):
    """How the step went, as one result of the case, and the object keys of what was kept."""

    result: AssertionResult
    keys: tuple[str, ...] = ()
