"""The sandbox that tests run workflows in: it refuses clocks, randomness and I/O to their own modules, too."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.catalog import PASSED_THROUGH

_SHARED = (*(room for room in PASSED_THROUGH if room != "workflows"), "workflows.policies")
"""The policies are constants; of one copy a test can shorten a limit."""


def strict_runner() -> SandboxedWorkflowRunner:
    """Make the sandbox. It loads the workflows' modules anew for each run, which takes 5 ms and more (ADR 17)."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*_SHARED))
