"""Every workflow there is and the sandbox it runs in: for core workers, tests and replays alike."""

from typing import Final

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

PASSED_THROUGH: Final = ("activities", "domain", "infra", "pydantic", "pydantic_core", "workflows")
"""Rooms that do no I/O and keep nothing when imported, and the model library: loaded once for all runs (ADR 17)."""


def workflow_runner() -> SandboxedWorkflowRunner:
    """Make the sandbox of the workers.

    It refuses clocks, randomness and I/O to what is not passed through. Tests run our workflows in one that refuses it
    to them as well.
    """
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
