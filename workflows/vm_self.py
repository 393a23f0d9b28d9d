"""What all parts of a machine's workflow share: its life as it knows it, the log, the page, the owner."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError

from workflows.recording import record_vm
from workflows.vm_board import VmBoard

with workflow.unsafe.imports_passed_through():
    from domain.vm.commands import VmCommand
    from workflows.vm_host import VmHost
    from workflows.vm_models import VmBrief, VmInput, VmLife


class VmSelf:
    """One machine. `life` only ever changes together with what the log is told."""

    def __init__(self, start: VmInput) -> None:
        request = start.request
        now = workflow.now()
        self.request = request
        self.life = start.resume or VmLife(requested_at=now, used_at=now)
        self.board = VmBoard(request)
        self.notify = start.notify
        self._told: VmBrief | None = None

    @property
    def host(self) -> VmHost:
        """The machine on its host, under the lease it has."""
        if self.life.lease is None:
            raise AssertionError("the machine has no lease")
        return VmHost(self.request, self.life.lease)

    @property
    def token(self) -> int:
        """The token of its lease, 0 without one."""
        return self.life.lease.token if self.life.lease else 0

    async def record(self, command: VmCommand, news: str | None = None, **update: Any) -> int:  # noqa: ANN401 - fields of VmLife, which are checked by its model's type
        """Tell the log, then change the life, show it, and tell the owner; answers the log's version."""
        version = await record_vm(self.request.vm_id, command)
        self.change(news, **update, version=max(version, self.life.version))
        await self._tell()
        return version

    def change(self, news: str | None = None, **update: Any) -> None:  # noqa: ANN401 - as above
        """Change what is no fact for the log, or no longer waits for it."""
        self.life = self.life.model_copy(update=update)
        self.board.show(self.life, news)

    async def _tell(self) -> None:
        """Signal the owner when something changed that it cares about."""
        life = self.life
        brief = VmBrief(
            vm_id=self.request.vm_id,
            status=life.status,
            ready=life.ready,
            version=life.version,
            host=life.lease.host if life.lease else None,
            queue=life.lease.queue if life.lease else None,
            token=self.token,
            boot=life.boot,
            accelerator=life.accelerator,
            problems=life.problems,
        )
        known = self._told.model_copy(update={"version": brief.version}) if self._told else None
        if self.notify is None or brief == known:
            return
        self._told = brief
        try:
            await workflow.get_external_workflow_handle(self.notify).signal("vm_changed", brief)
        except FailureError as error:
            workflow.logger.info("the owner %s is gone: %s", self.notify, error)
            self.notify = None
