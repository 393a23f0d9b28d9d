"""Waiting for the guest's first answer, beside everything else: a guest that never answers blocks nothing."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows.vm_self import VmSelf

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail, read_failure
    from domain.errors import Problem
    from domain.vm.commands import RecordNotReady, RecordReady


class VmAgent:
    """Knows whether the guest answers since the last start."""

    def __init__(self, vm: VmSelf) -> None:
        self._vm = vm
        self._waiting: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether the guest is still waited for."""
        return self._waiting is not None and not self._waiting.done()

    def begin(self) -> None:
        """Wait for the guest of the start that just was."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = asyncio.create_task(self._wait(self._vm.token, self._vm.life.boot))

    def resume(self) -> None:
        """Wait again, if it runs and nothing is known of the guest, or it was held up."""
        life = self._vm.life
        if life.status == "running" and not life.ready and not self.waits:
            self.begin()

    async def end(self) -> None:
        """No longer wait; returns when the host has stopped asking."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.cancel()
            await workflow.wait([waiting])

    async def paused(self, reason: str | None) -> None:
        """The hypervisor holds the machine, mostly because the host's disk is full."""
        await self.end()
        problem = Problem(
            code="vm.paused",
            message=f"The hypervisor paused the machine: {reason or 'it does not say why'}.",
            retryable=True,
            next="Make room on the host if its disk is full; then restart_vm.",
        )
        await self._silent(self._vm.token, self._vm.life.boot, FailureDetail(kind="fault", problems=(problem,)))

    async def _wait(self, token: int, boot: int) -> None:
        try:
            answer = await self._vm.host.await_agent()
        except ActivityError as error:
            if is_cancelled_exception(error):
                return
            await self._silent(token, boot, read_failure(error))
            return
        fact = RecordReady(token=token, boot=boot, via=answer.via, seconds=answer.seconds, addresses=answer.addresses)
        if self._is_still(token, boot):
            news = f"the guest answers by {answer.via}, {answer.seconds:.1f} s after power-on"
            await self._vm.record(fact, news, ready=True, problems=(), used_at=workflow.now())

    async def _silent(self, token: int, boot: int, detail: FailureDetail) -> None:
        if self._is_still(token, boot):
            fact = RecordNotReady(token=token, boot=boot, cause=detail.kind, problems=detail.problems)
            news = f"the guest does not answer: {detail.problems[0].message}"
            await self._vm.record(fact, news, ready=False, problems=detail.problems)

    def _is_still(self, token: int, boot: int) -> bool:
        life = self._vm.life
        return life.status == "running" and (self._vm.token, life.boot) == (token, boot)
