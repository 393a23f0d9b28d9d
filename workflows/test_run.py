"""The workflow of a test run: machines, cases in order, report, and the machines given back."""

import asyncio
from collections.abc import Sequence

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows import policies, test_run_board
from workflows.recording import outliving_cancel
from workflows.test_run_cases import CaseEnd, CaseRunner
from workflows.test_run_log import RunLog
from workflows.test_run_machines import MachineFailed, RunMachines
from workflows.test_run_models import RunInput, RunOutcome
from workflows.vm_models import VmBrief

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail
    from activities.machines.vm_models import Screenshot, TakeScreenshot
    from activities.verification.report_models import ReportWritten, WriteReport
    from domain.errors import FactoryError
    from domain.test_run import commands as c
    from domain.test_run.inputs import RunCase, RunMachine
    from domain.test_run.reporting import report_of
    from domain.test_run.results import KeptFile
    from domain.test_run.summary import first_failure
    from workflows.commands import CancelCommand


class _Fault(Exception):
    """The factory could not go on with the run."""

    def __init__(self, detail: FailureDetail) -> None:
        self.detail = detail
        super().__init__(detail.problems[0].message)


@workflow.defn(name="TestRunWorkflow", failure_exception_types=[FactoryError])
class RunWorkflow:
    """Runs a suite or a verification. Signals: `cancel` (at any time), and `vm_changed` from its machines."""

    @workflow.init
    def __init__(self, start: RunInput) -> None:
        self._request = start.request
        self._plan = start.request.plan
        self._log = RunLog(start.request.run_id)
        self._machines = RunMachines(start.request)
        self._cases = CaseRunner(start.request.run_id, self._plan, self._machines)
        self._files: list[KeptFile] = []
        self._cancel: CancelCommand | None = None
        self._work: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, start: RunInput) -> RunOutcome:
        """Test, report, give back. However it ends, the machines go, unless they are to be held."""
        try:
            await outliving_cancel(self._tell(c.RequestRun(request=start.request)))
            end = await self._ended()
            await self._close(end)
        except asyncio.CancelledError:
            command = self._cancel or CancelCommand(requested_by="temporal", reason="the workflow was cancelled")
            await self._machines.give_back("the test run was cancelled")
            await self._report()
            await self._tell(c.CancelRun(requested_by=command.requested_by, reason=command.reason))
        state = self._log.state
        return RunOutcome(
            run_id=state.run_id,
            status=state.status,
            counts=state.counts,
            failure=first_failure(state),
            problems=state.problems,
        )

    @workflow.signal
    def vm_changed(self, brief: VmBrief) -> None:
        """Hear how a machine is."""
        self._machines.heard(brief)

    @workflow.signal
    def cancel(self, command: CancelCommand | None = None) -> None:
        """End the run; its machines are given back first."""
        if self._cancel is None:
            self._cancel = command or CancelCommand()
            if self._work is not None:
                self._work.cancel()

    async def _ended(self) -> c.FinishRun | c.FailRun:
        """Do the work as a task of its own, so that `cancel` and a lost machine can reach into it."""
        if self._cancel is not None:
            raise asyncio.CancelledError
        self._work = asyncio.create_task(self._test())
        watch = asyncio.create_task(workflow.wait_condition(lambda: self._machines.broken() is not None))
        try:
            await workflow.wait([self._work, watch], return_when=asyncio.FIRST_COMPLETED)
            await self._stop_if_broken()
            await self._work
        except MachineFailed as failure:
            await self._photograph([machine.slot for machine in self._plan.machines], "the boot")
            return _judged(failure.detail)
        except _Fault as fault:
            return c.FailRun(problems=fault.detail.problems)
        finally:
            watch.cancel()
            self._work.cancel()
            await workflow.wait([self._work])
        return c.FinishRun()

    async def _stop_if_broken(self) -> None:
        """End what runs on machines that are no more."""
        broken = self._machines.broken()
        if self._work is None or self._work.done() or broken is None:
            return
        self._work.cancel()
        await workflow.wait([self._work])
        if self._cancel is not None:
            raise asyncio.CancelledError
        raise MachineFailed(broken)

    async def _test(self) -> None:
        for machine in self._plan.machines:
            bind = c.BindMachine(slot=machine.slot, vm_id=self._machines.vm_id(machine.slot), owned=not machine.vm_id)
            await self._tell(bind)
        await self._machines.start()
        await self._machines.ready(self._told_ready)
        usable = True
        for case in self._plan.cases:
            if usable or case.kind == "teardown":
                end = await self._case(case)
                usable = usable and not (case.kind == "setup" and end.status == "failed")
            else:
                await self._tell(c.FinishCase(case=case.name, status="skipped", seconds=0.0))

    async def _told_ready(self, machine: RunMachine, seconds: float) -> None:
        await self._tell(
            c.ReadyMachine(slot=machine.slot, seconds=seconds, accelerator=self._machines.accelerator(machine.slot))
        )

    async def _case(self, case: RunCase) -> CaseEnd:
        """Run one case and record it.

        Raises:
            _Fault: the factory could not do it; the case is recorded as an error.

        """
        began = workflow.now()
        await self._tell(c.StartCase(case=case.name))
        end = await self._cases.run(case)
        seconds = (workflow.now() - began).total_seconds()
        self._files += [KeptFile(name=_name(k), key=k, slot=r.slot) for r in end.results for k in r.keys]
        await self._tell(
            c.FinishCase(case=case.name, status=end.status, seconds=seconds, results=end.results, problems=end.problems)
        )
        if end.fault:
            raise _Fault(FailureDetail(kind="fault", problems=end.problems))
        if end.status == "failed":
            await self._photograph([case.slot, *(step.slot for step in case.steps if step.slot)], case.name)
        return end

    async def _close(self, end: c.FinishRun | c.FailRun) -> None:
        """Report, give the machines back or hold them, and record the end."""
        failed = isinstance(end, c.FailRun) or bool(end.problems) or self._anything_wrong()
        held = self._plan.hold_seconds if failed else 0
        if held:
            await self._machines.hold(held)
            await self._report()
        elif workflow.patched("machines-side-by-side"):
            await asyncio.gather(self._machines.give_back("the test run has ended"), self._report())
        else:
            await self._machines.give_back("the test run has ended")
            await self._report()
        await self._tell(end)
        if held:
            await self._tell(c.HoldMachines(seconds=held))

    def _anything_wrong(self) -> bool:
        return any(case.status in {"failed", "error"} for case in self._log.state.cases)

    async def _photograph(self, slots: Sequence[str], after: str) -> None:
        """Keep what screens and serial ports show where something went wrong. Without a picture the run goes on."""
        for slot in dict.fromkeys(slots):
            queue, vm = self._machines.reach(slot)
            if not queue:
                continue  # it never came to a host
            try:
                picture = await workflow.execute_activity(
                    "take_screenshot",
                    TakeScreenshot(vm=vm, serial=True),
                    result_type=Screenshot,
                    task_queue=queue,
                    schedule_to_close_timeout=policies.CHECK_PICKUP,
                    start_to_close_timeout=policies.CHECK_PICKUP,
                    heartbeat_timeout=policies.HEARTBEAT,
                    retry_policy=policies.ONCE,
                    summary=f"Screen of {slot} after {after}",
                )
            except ActivityError as error:
                workflow.logger.info("no picture of %s: %s", slot, error)
                continue
            if picture.key:  # a machine that is off has no screen
                self._files.append(KeptFile(name=f"{slot}-{len(self._files) + 1}.png", key=picture.key, slot=slot))
            if picture.serial_key is not None:  # it holds all that the one before held
                log = KeptFile(name=f"serial-{slot}.log", key=picture.serial_key, slot=slot)
                self._files = [*(file for file in self._files if file.name != log.name), log]

    async def _report(self) -> None:
        """Write the report. A run without one is still a run."""
        files = list(self._files)
        state = self._log.state.model_copy(update={"files": tuple(files)})
        try:
            written = await workflow.execute_activity(
                "write_report",
                WriteReport(report=report_of(state), previous=self._plan.previous),
                result_type=ReportWritten,
                task_queue=policies.IMAGING_QUEUE,
                schedule_to_close_timeout=policies.REPORT_LIMIT,
                start_to_close_timeout=policies.REPORT_LIMIT,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.FAULTS,
                summary=f"Report of {self._plan.name}",
            )
            reports = (("report.html", written.html), ("junit.xml", written.junit), ("report.json", written.json_key))
            files = [*(KeptFile(name=name, key=key) for name, key in reports), *files]
        except ActivityError as error:
            workflow.logger.warning("the report could not be written: %s", error)
        await self._tell(c.RecordReport(files=tuple(files)))

    async def _tell(self, command: c.AnyTestRunCommand) -> None:
        await self._log.tell(command)
        test_run_board.show(self._log.state, self._request.usual_seconds)


def _judged(detail: FailureDetail) -> c.FinishRun | c.FailRun:
    """A guest that does not come up is a result; a machine that the factory lost is not."""
    command = c.FailRun if detail.kind == "fault" else c.FinishRun
    return command(problems=detail.problems)


def _name(key: str) -> str:
    return key.rpartition("/")[2]
