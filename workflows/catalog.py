"""Every workflow there is and the sandbox it runs in: for core workers, tests and replays alike."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.build import BuildWorkflow
from workflows.collect import CollectWorkflow
from workflows.define import DefineRecipeWorkflow, DefineWorkflow
from workflows.delete_build import DeleteBuildWorkflow
from workflows.fleet import FleetWorkflow
from workflows.histories import HistoriesWorkflow
from workflows.image import ForgetImageWorkflow, ImageWorkflow
from workflows.rebuild import DefineRebuildWorkflow, RebuildWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.test_run import RunWorkflow
from workflows.validate import ValidateRecipeWorkflow
from workflows.vm import VmWorkflow

WORKFLOWS: tuple[type, ...] = (
    BuildWorkflow,
    ValidateRecipeWorkflow,
    FleetWorkflow,
    VmWorkflow,
    ImageWorkflow,
    ForgetImageWorkflow,
    DefineWorkflow,
    DefineRecipeWorkflow,
    RunWorkflow,
    DefineRebuildWorkflow,
    RebuildWorkflow,
    ReconcileWorkflow,
    DeleteBuildWorkflow,
    CollectWorkflow,
    HistoriesWorkflow,
)

PASSED_THROUGH = ("activities", "domain", "infra", "pydantic", "pydantic_core", "workflows.policies")
"""Rooms that do no I/O when imported, and the model library: loaded once, so that values keep their classes.

The policies are constants; of one copy a test can shorten a limit.
"""


def workflow_runner() -> SandboxedWorkflowRunner:
    """Make the sandbox that refuses clocks, randomness and I/O in workflow code."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
