"""From a test run's state to what its report tells."""

from domain.test_run.report import ReportCase, ReportEvidence, ReportStep, ReportTarget, RunReport
from domain.test_run.results import CaseStatus, KeptFile, StepResult
from domain.test_run.state import CaseState, RunState
from domain.test_run.summary import why
from domain.text import clean_untrusted
from domain.verification import AssertionResult

_LONGEST_FOUND = 2000
_FOUND_OF_MANY = 200
_MANY = 300
"""Beyond so many results only what did not hold is quoted at length: a report travels as one message."""
_ENDED: dict[CaseStatus, str] = {"pending": "skipped", "running": "skipped", "cancelled": "skipped"}


def report_of(state: RunState) -> RunReport:
    """Tell a run as far as it has come."""
    longest = _FOUND_OF_MANY if sum(len(case.results) for case in state.cases) > _MANY else _LONGEST_FOUND
    return RunReport(
        run_id=state.run_id,
        kind=state.plan.kind,
        title=state.plan.name,
        started=state.requested_at,
        seconds=state.seconds or (state.updated_at - state.requested_at).total_seconds(),
        targets=_targets(state),
        cases=tuple(_case(case, longest) for case in state.cases),
        evidence=tuple(_evidence(file) for file in state.files),
    )


def _targets(state: RunState) -> tuple[ReportTarget, ...]:
    seen = {machine.slot: machine for machine in state.machines}
    return tuple(
        ReportTarget(
            slot=machine.slot,
            vm_id=seen[machine.slot].vm_id or "",
            image=machine.image.name or machine.image.source_id if machine.image else "",
            digest=machine.image.digest if machine.image else "",
            accelerator=seen[machine.slot].accelerator or machine.accelerator,
            firmware=machine.firmware,
            boot_seconds=seen[machine.slot].ready,
        )
        for machine in state.plan.machines
    )


def _case(case: CaseState, longest: int) -> ReportCase:
    return ReportCase.model_validate(
        {
            "name": case.name,
            "tags": case.tags,
            "status": _ENDED.get(case.status, case.status),
            "seconds": case.seconds or 0.0,
            "message": why(case) if case.status in {"failed", "error"} else None,
            "steps": tuple(_step(result, longest) for result in case.results),
            "evidence": tuple(key for result in case.results for key in result.keys),
        }
    )


def _step(result: StepResult, longest: int) -> ReportStep:
    facts = {name: getattr(result, name) for name in AssertionResult.model_fields}
    if result.passed:
        facts["found"] = clean_untrusted(result.found, longest)
    return ReportStep(slot=result.slot, result=AssertionResult(**facts))


def _evidence(file: KeptFile) -> ReportEvidence:
    name = file.name.lower()
    kind = "screenshot" if name.endswith(".png") else "serial" if name.startswith("serial") else "file"
    return ReportEvidence(name=file.name, kind=kind, slot=file.slot, key=file.key)
