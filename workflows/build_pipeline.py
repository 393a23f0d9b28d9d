"""The steps of a build in order, each recorded, each skipped when an earlier try finished it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, get_args

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows import policies
from workflows.alongside import alongside
from workflows.board import Board
from workflows.build_evidence import earlier_evidence
from workflows.build_models import BuildInput, Finished
from workflows.build_usual import usual_durations
from workflows.hosts import job_of, on_any_host, on_host
from workflows.recording import record_build

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail, read_failure
    from activities.imaging import models as imaging
    from activities.machines import models as machines
    from activities.verification import models as verification
    from domain.artifacts import Artifact, Blob, Layer
    from domain.build.commands import BuildCommand, CompleteStep, RecordArtifacts, RecordVerification, StartStep
    from domain.build.outcome import failed_assertions, judge
    from domain.build.steps import TESTING_STEPS, StepName
    from domain.model import Value
    from domain.verification import Bootable, VerificationReport

Result = TypeVar("Result", bound=Value)

_MACHINE_GONE = frozenset({"machine.lost", "guest.interrupted"})
_MOST_BOOTS = 3
_BOOTABLE = frozenset(get_args(Bootable))


class StepFailed(Exception):
    """A step could not be done; `detail` says whose fault it is."""

    def __init__(self, step: StepName, detail: FailureDetail) -> None:
        self.step: StepName = step
        self.detail = detail
        super().__init__(detail.problems[0].message)


class BuildPipeline:
    """One try at a build. `finished` grows with every step and outlives the try."""

    def __init__(self, start: BuildInput, board: Board) -> None:
        resume = start.resume
        self._request = start.request
        self._board = board
        self._generation = resume.generation if resume else 0
        self._job = job_of(start.request.build_id, start.request.org_id, self._generation)
        self._queue = ""
        self._host = ""
        self._holds_machines = False
        self._abandoned = False
        self.finished = resume.finished if resume else Finished()
        self.artifacts: tuple[Artifact, ...] = ()
        self._reports: tuple[VerificationReport, ...] = ()

    async def take(self, slot: Awaitable[imaging.SurveyResult]) -> None:
        """Work on the host that takes the job; what it lacks has to be done again."""
        async with alongside(self._learn_usual()):
            survey = await slot
        self._queue, self._host = survey.queue, survey.host
        self.finished = self.finished.without(frozenset(survey.missing))

    async def run(self) -> None:
        """Do what is left to do.

        Raises:
            StepFailed: a step could not be done; what was finished before it is in `finished`.

        """
        if not self._queue:
            await self.take(self._choose_host())
        layer = await self._layers()
        artifacts = await self._assemble(layer)
        reports = self.finished.verify
        if reports is None:
            reports = await self._test(artifacts)
        else:
            self._board.done("boot", "", kept=True)
            self._board.done("verify", "", kept=True)
        await self._publish(artifacts, reports)

    def abandon(self) -> None:
        """Go on no further. A cancellation alone may be lost: a fact that is just being recorded is waited for."""
        self._abandoned = True

    async def release(self, reason: str) -> None:
        """Give back the machines, if any were asked for. Harmless to repeat."""
        if not self._holds_machines:
            return
        request = machines.ReleaseInput.model_validate({"job": self._job, "reason": reason})
        await on_host(
            self._queue, "boot", "release_machines", request, machines.ReleaseResult, summary=f"Machines back: {reason}"
        )
        self._holds_machines = False

    async def publish_unverified(self, failure: StepFailed) -> None:
        """Keep the images of a failed build with their evidence, as what they are: unverified."""
        if self.finished.assemble is None or failure.step not in ("boot", "verify"):
            return
        problems = tuple(p.model_dump(mode="json") for p in failure.detail.problems)
        reports = self._reports
        await self._upload(judge(self.finished.assemble.artifacts, reports), reports, problems)

    async def _choose_host(self) -> imaging.SurveyResult:
        """Have any host take the job: so it was before builds had slots."""
        request = imaging.SurveyInput(job=self._job, needs=self.finished.blobs())
        try:
            return await on_any_host("survey_host", request, imaging.SurveyResult, summary="Choose a host")
        except ActivityError as error:
            raise StepFailed("resolve", read_failure(error)) from error

    async def _layers(self) -> Layer:
        request = imaging.ResolveInput(job=self._job, recipe=self._request.recipe, lock=self._request.lock)
        resolved = await self._step(
            "resolve",
            lambda: self._do("resolve", "resolve_recipe", request, imaging.ResolveResult),
            lambda r: (False, f"{r.packages} packages, {r.download_bytes / 1e6:.0f} MB of .debs, index {r.index}"),
        )
        async with alongside(self._fetch_ahead(resolved)):
            made = await self._layer("base_layer", resolved.lock, None)
        made = await self._layer("package_layer", resolved.lock, made.layer)
        made = await self._layer("configuration_layer", resolved.lock, made.layer)
        return made.layer

    async def _layer(self, step: StepName, lock: Blob, parent: Layer | None) -> imaging.LayerResult:
        request = imaging.LayerInput(job=self._job, recipe=self._request.recipe, lock=lock, parent=parent)
        return await self._step(
            step,
            lambda: self._do(step, f"build_{step}", request, imaging.LayerResult),
            lambda r: (r.cached, r.summary),
        )

    async def _assemble(self, layer: Layer) -> tuple[Artifact, ...]:
        lock = self.finished.resolve.lock if self.finished.resolve else None
        if lock is None:
            raise AssertionError("resolve comes before assemble")
        request = imaging.AssembleInput(job=self._job, recipe=self._request.recipe, lock=lock, layer=layer)
        assembled = await self._step(
            "assemble",
            lambda: self._do("assemble", "assemble_artifacts", request, imaging.AssembleResult),
            lambda r: (r.cached, r.summary),
        )
        return assembled.artifacts

    async def _test(self, artifacts: tuple[Artifact, ...]) -> tuple[VerificationReport, ...]:
        """Boot and check. The machines are given back whatever happens, before anything is parked.

        An image whose bytes an earlier build has proven by the same tests is not booted again.
        """
        known = await earlier_evidence(self._request, self._queue, artifacts)
        proven = {report.artifact for report in known}
        images = tuple(a for a in artifacts if a.kind not in proven)
        async with alongside(self._copy_ahead(artifacts) if images else None):
            reports = await self._boot_and_check(images, known)
        self.finished = self.finished.model_copy(update={"verify": reports})
        await self.release("finished")
        return reports

    async def _boot_and_check(
        self, images: tuple[Artifact, ...], known: tuple[VerificationReport, ...]
    ) -> tuple[VerificationReport, ...]:
        recipe = self._request.recipe
        boot = machines.BootInput(job=self._job, recipe=recipe, artifacts=images)
        booted = await self._step("boot", lambda: self._boot(boot, known), lambda r: _boot_summary(r, known))
        check = verification.VerifyInput(job=self._job, recipe=recipe, boots=booted.reports, images=images)
        checked = await self._step("verify", lambda: self._verify_all(boot, check, known), _verify_summary)
        return checked.reports

    async def _learn_usual(self) -> None:
        """Ask how long such builds take, while the build waits for its turn."""
        if workflow.patched("usual-durations"):
            self._board.expect(await usual_durations(self._request))

    def _fetch_ahead(self, resolved: imaging.ResolveResult) -> Coroutine[Any, Any, None] | None:
        """Download the package layer's packages while the base layer is made."""
        wanted = resolved.download_bytes and self.finished.package_layer is None
        if not wanted or not workflow.patched("work-ahead"):
            return None
        request = imaging.FetchInput(job=self._job, lock=resolved.lock)
        return self._ahead("package_layer", "fetch_packages", request, imaging.FetchResult, "Packages")

    def _copy_ahead(self, images: tuple[Artifact, ...]) -> Coroutine[Any, Any, None] | None:
        """Copy the images to the object store while the machines boot."""
        if not workflow.patched("work-ahead"):
            return None
        request = imaging.CopyInput(job=self._job, images=images)
        return self._ahead("publish", "copy_images", request, imaging.CopyResult, "Images into the object store")

    async def _ahead(self, step: StepName, activity: str, request: Value, result: type[Value], what: str) -> None:
        await on_host(
            self._queue, step, activity, request, result, summary=f"{what}, ahead of the step", retry=policies.ONCE
        )

    async def _boot(self, boot: machines.BootInput, known: tuple[VerificationReport, ...]) -> machines.BootResult:
        if known and not _bootable(boot.artifacts):
            return machines.BootResult(reports=())
        self._holds_machines = True
        return await self._do("boot", "boot_artifacts", boot, machines.BootResult)

    async def _verify_all(
        self, boot: machines.BootInput, check: verification.VerifyInput, known: tuple[VerificationReport, ...]
    ) -> verification.VerifyResult:
        """Check what was booted, and put what is known of the rest beside it."""
        if known and not check.boots:
            await self._record(RecordVerification(generation=self._generation, reports=known))
            return verification.VerifyResult(reports=known)
        return await self._verify_booting_again(boot, check, known)

    async def _verify_booting_again(
        self, boot: machines.BootInput, check: verification.VerifyInput, known: tuple[VerificationReport, ...]
    ) -> verification.VerifyResult:
        """Check; machines that their host lost meanwhile are booted anew, for nothing can be checked without them."""
        for _ in range(_MOST_BOOTS - 1):
            try:
                return await self._verify(check, known)
            except StepFailed as failure:
                lost = failure.detail.kind == "fault" and failure.detail.problems[0].code in _MACHINE_GONE
                if not lost or not workflow.patched("boot-lost-machines-again"):
                    raise
            booted = await self._do("boot", "boot_artifacts", boot, machines.BootResult)
            check = check.model_copy(update={"boots": booted.reports})
        return await self._verify(check, known)

    async def _verify(
        self, check: verification.VerifyInput, known: tuple[VerificationReport, ...]
    ) -> verification.VerifyResult:
        made = await self._do("verify", "verify_machines", check, verification.VerifyResult)
        checked = verification.VerifyResult(reports=(*made.reports, *known))
        self._reports = checked.reports
        await self._record(RecordVerification(generation=self._generation, reports=checked.reports))
        problems = failed_assertions(checked.reports)
        if not problems:
            return checked
        failed: tuple[Bootable, ...] = tuple(r.artifact for r in checked.reports if r.failed)
        capture = machines.CaptureInput(job=self._job, artifacts=failed)
        await self._do("verify", "capture_evidence", capture, machines.CaptureResult)
        raise StepFailed("verify", FailureDetail(kind="verdict", problems=problems))

    async def _publish(self, artifacts: tuple[Artifact, ...], reports: tuple[VerificationReport, ...]) -> None:
        await self._step(
            "publish",
            lambda: self._upload(judge(artifacts, reports), reports, ()),
            lambda r: (False, f"{len(r.artifacts)} files, {sum(a.blob.bytes for a in r.artifacts) / 1e6:.0f} MB"),
        )

    async def _upload(
        self,
        artifacts: tuple[Artifact, ...],
        reports: tuple[VerificationReport, ...],
        problems: tuple[dict[str, object], ...],
    ) -> imaging.PublishResult:
        if self.finished.resolve is None:
            raise AssertionError("resolve comes before publish")
        request = imaging.PublishInput(
            job=self._job,
            recipe=self._request.recipe,
            lock=self.finished.resolve.lock,
            artifacts=artifacts,
            reports=tuple(r.model_dump(mode="json") for r in reports),
            problems=problems,
        )
        published = await self._do("publish", "publish_artifacts", request, imaging.PublishResult)
        self.artifacts = published.artifacts
        await self._record(RecordArtifacts(generation=self._generation, artifacts=published.artifacts))
        return published

    async def _step(
        self, step: StepName, work: Callable[[], Awaitable[Result]], tell: Callable[[Result], tuple[bool, str]]
    ) -> Result:
        """Do one step unless an earlier try finished it, and record that it began and how it ended."""
        earlier = getattr(self.finished, step, None)
        if earlier is not None:
            self._board.done(step, tell(earlier)[1], kept=True)
            return earlier
        self._board.state("testing" if step in TESTING_STEPS else "building")
        self._board.running(step)
        began = workflow.now()
        await self._record(StartStep(step=step, generation=self._generation, host=self._host))
        result = await work()
        cached, summary = tell(result)
        seconds = (workflow.now() - began).total_seconds()
        if step in Finished.model_fields and step != "verify":
            self.finished = self.finished.model_copy(update={step: result})
        await self._record(
            CompleteStep(step=step, generation=self._generation, seconds=seconds, cached=cached, summary=summary)
        )
        self._board.done(step, summary)
        return result

    async def _do(self, step: StepName, activity: str, request: Value, result: type[Result]) -> Result:
        try:
            return await on_host(
                self._queue, step, activity, request, result, summary=_summary(step, self._request.recipe)
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            raise StepFailed(step, read_failure(error)) from error

    async def _record(self, command: BuildCommand) -> None:
        await record_build(self._request.build_id, command)
        if self._abandoned and workflow.patched("cancel-while-recording"):
            raise asyncio.CancelledError


def _bootable(artifacts: tuple[Artifact, ...]) -> bool:
    return any(artifact.kind in _BOOTABLE for artifact in artifacts)


def _boot_summary(result: machines.BootResult, known: tuple[VerificationReport, ...]) -> tuple[bool, str]:
    booted = [f"{b.artifact} under {b.firmware.upper()} in {b.seconds:.0f} s" for b in result.reports]
    kept = [f"{report.artifact} not booted again" for report in known]
    return not booted, ", ".join((*booted, *kept))


def _verify_summary(result: verification.VerifyResult) -> tuple[bool, str]:
    told = [
        f"{r.artifact}: {r.passed} of {len(r.results)} assertions hold"
        + (f", reused from build {r.reused.build_id}" if r.reused else "")
        for r in result.reports
    ]
    return all(r.reused for r in result.reports), ", ".join(told)


def _summary(step: StepName, recipe: dict[str, object]) -> str:
    return f"{step.replace('_', ' ').capitalize()}: {recipe.get('name')}"
