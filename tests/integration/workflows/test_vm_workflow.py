"""A machine's life on a real Temporal server that skips time, with a fleet and hosts of fakes."""

import asyncio

import pytest
from temporalio.testing import WorkflowEnvironment

from domain.errors import Fault, Verdict
from domain.vm import orders as o
from tests.integration.workflows.vms import Yard

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def yard(environment: WorkflowEnvironment) -> Yard:
    """A core without history."""
    return Yard(environment.client)


async def test_a_machine_is_placed_created_started_and_answers(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        state = yard.recording.state(vm_id)
        assert (state.status, state.host, state.boot, state.via) == ("running", "one", 1, "agent")
        assert yard.recording.names(vm_id) == ["requested", "placed", "created", "started", "ready"]
        await yard.vms.command(vm_id, o.DeleteVm(command_id="d"))
        assert (await yard.ended(vm_id)).removed == 3
        assert yard.hosts["one"].domains == {}
        assert yard.recording.state(vm_id).status == "deleted"
        assert (await yard.room()).hosts[0].machines == 0
