"""A factory in which there is far more of everything than fits into an answer."""

from typing import Any

from domain.artifacts import Artifact
from domain.build import events as e
from domain.build.steps import STEPS
from domain.errors import Problem
from domain.rebuild.commands import CreateSchedule, RecordLook
from domain.rebuild.inputs import Look
from domain.test_run.commands import FinishCase, FinishRun, RecordReport, StartCase
from domain.test_run.results import KeptFile, StepResult
from domain.verification import AssertionResult, VerificationReport
from domain.vm.commands import RecordSnapshot
from tests.fakes.factory import NOW, World, failed
from tests.fakes.rebuilds import kept_schedule
from tests.fakes.suites import SUITE, asked_run, kept_suite, plan_of_cases
from tests.machines import request

MANY = 120


def fill(world: World, text: str, *, failed_id: str, completed_id: str) -> None:
    """Have a failed build, a suite, a run and a machine of one id, a completed build, and many more of each.

    Whatever may be long says `text`.
    """
    for number in range(MANY):
        other = f"44444444-4444-4444-8444-{number:012d}"
        world.build(failed(other, Problem(code="boot.no_agent", message=text)), build_id=other)
        kept_suite(world.tests, other, {**SUITE, "name": f"smoke-{number}", "description": text[:256]})
        asked_run(world.tests, other, plan_of_cases("web", target=failed_id))
        world.tests.tell(other, *_failed_case("web", text, 1), FinishRun())
        world.vms.have(request(other, org_id="local"))
        world.rebuilds.do(other, CreateSchedule(request=kept_schedule(other)))
        look = Look(outcome="started", build_id=other, packages="cd" * 32, summary=text)
        world.rebuilds.do(other, RecordLook(look_id="l", look=look))
    end = e.BuildCompleted(build_id=completed_id, org_id="local", at=NOW, seconds=1.0)
    _build(world, completed_id, text, end)
    problems = (Problem(code=f"p.{n}", message=text, path=text, value=text, next=text[:300]) for n in range(MANY))
    _build(world, failed_id, text, failed(failed_id, *problems))
    world.logs.write(
        failed_id, *(text for _ in range(MANY)), *("x" for _ in range(5_000)), *(text for _ in range(MANY))
    )
    cases = [{"name": f"case-{n}", "description": text[:200], "steps": SUITE["cases"][0]["steps"]} for n in range(90)]
    kept_suite(world.tests, failed_id, {**SUITE, "cases": cases})
    _run(world, failed_id, text)
    world.vms.have(request(failed_id, org_id="local"))
    for number in range(MANY):
        taken = RecordSnapshot(snapshot_id=f"s{number}", name=text[:60], memory=True, bytes=1, seconds=1.0)
        world.vms.tell(failed_id, taken)
    world.vms.answer = world.vms.answer.model_copy(update={"stdout": text * 9, "stderr": text * 9})
    world.vms.console = text


def _build(world: World, build_id: str, text: str, *ends: e.BuildEvent) -> None:
    result = AssertionResult(
        suite=text, description=text, type="x", passed=False, expected=text, found=text, command=text
    )
    reports = tuple(
        VerificationReport(
            artifact=kind, firmware="uefi", accelerator="tcg", boot_seconds=1.0, results=(result,) * MANY
        )
        for kind in ("qcow2", "iso")
    )
    kinds = ("qcow2", "iso", "recipe", "report", "manifest", "log", "evidence")
    artifacts = tuple(
        Artifact.model_validate({"kind": k, "name": f"{k}.bin", "blob": {"digest": "ab" * 32, "bytes": 1 << 30}})
        for k in kinds
    )
    common: dict[str, Any] = {"build_id": build_id, "org_id": "local", "at": NOW, "generation": 0}
    steps: list[e.BuildEvent] = []
    for step in STEPS:
        done = {"seconds": 1.0, "cached": False, "summary": text}
        steps.append(e.StepStarted.model_validate({**common, "step": step}))
        steps.append(e.StepCompleted.model_validate({**common, "step": step, **done}))
    world.build(
        *steps,
        e.BuildVerified.model_validate({**common, "reports": reports}),
        e.ArtifactsPublished.model_validate({**common, "artifacts": artifacts}),
        *ends,
        build_id=build_id,
    )


def _run(world: World, run_id: str, text: str) -> None:
    names = [f"case-{number}" for number in range(60)]
    plan = plan_of_cases(*names, target=run_id)
    asked_run(world.tests, run_id, plan.model_copy(update={"parameters": {f"p{n}": text for n in range(50)}}))
    for name in names:
        world.tests.tell(run_id, *_failed_case(name, text, 40))
    files = tuple(KeptFile(name=f"primary-{n}.png", key=f"evidence/{run_id}/{n}.png") for n in range(MANY))
    world.tests.tell(run_id, RecordReport(files=files), FinishRun())


def _failed_case(name: str, text: str, results: int) -> tuple[StartCase, FinishCase]:
    result = StepResult(
        suite="s",
        description=text,
        type="x",
        passed=False,
        expected=text,
        found=text,
        command=text,
        slot="primary",
        params={"path": "/etc/motd", "content": text},
    )
    return StartCase(case=name), FinishCase(case=name, status="failed", seconds=1.0, results=(result,) * results)
