"""A build's turn: asking the fleet for a slot, waiting in the queue, having the host take the job, giving back."""

import asyncio
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, TimeoutType, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimedOut

from workflows import policies
from workflows.board import Board
from workflows.build_models import BuildInput
from workflows.fleet_signals import tell_fleet, try_telling_fleet
from workflows.hosts import job_of, take_job

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail, read_failure
    from activities.imaging.models import SurveyInput, SurveyResult
    from domain.errors import Problem
    from workflows.slot_models import Slot, SlotCheck, SlotEnd, SlotRefused, SlotRequest, SlotWait

_MOST_HOSTS = 5


class NoSlot(Exception):
    """The build gets no turn, or no host takes it."""

    def __init__(self, detail: FailureDetail) -> None:
        self.detail = detail
        super().__init__(detail.problems[0].message)


class BuildSlot:
    """Asks and waits. The signals of the fleet come in through `hear`."""

    def __init__(self, start: BuildInput, board: Board) -> None:
        self._start = start
        self._board = board
        self._asked = False
        self._news: Slot | SlotRefused | None = None

    async def hear(self, news: Slot | SlotWait | SlotRefused | SlotCheck) -> None:
        """Take what the fleet says. Signals may overtake each other: what comes unasked is given back."""
        if not self._asked:
            await self._give_back(completed=False)
        elif isinstance(news, SlotWait):
            if self._news is None:
                self._board.queued(news.position, news.starts_at, news.reason)
        elif not isinstance(news, SlotCheck):
            self._news = news

    async def get(self) -> SurveyResult:
        """Wait for a slot until a host has taken the job.

        Raises:
            NoSlot: the queue is full, or the hosts cannot take the job.

        """
        asked_at = workflow.now()
        for _ in range(_MOST_HOSTS):
            survey = await self._taken(await self._granted(asked_at))
            if survey is not None:
                return survey
            # The host fell silent after the fleet chose it; the place in the queue is as good as before.
            await self.end()
        raise NoSlot(FailureDetail(kind="fault", problems=(_silent(),)))

    async def end(self, *, completed: bool = False) -> None:
        """Give back the slot or the place, if one was asked for. Harmless to repeat."""
        if not self._asked:
            return
        self._asked = False
        self._news = None
        await self._give_back(completed=completed)

    async def _give_back(self, *, completed: bool) -> None:
        # A fleet that is not there holds nothing.
        await try_telling_fleet("release_build", SlotEnd(build_id=self._start.request.build_id, completed=completed))

    async def _granted(self, asked_at: datetime) -> Slot:
        self._asked = True
        while True:
            await tell_fleet("reserve_build", self._request(asked_at))
            try:
                await workflow.wait_condition(
                    lambda: self._news is not None,
                    timeout=policies.FLEET_PATIENCE,
                    timeout_summary="Waiting for a turn",
                )
            except TimeoutError:
                continue
            if isinstance(self._news, SlotRefused):
                self._asked = False
                raise NoSlot(FailureDetail(kind="fault", problems=(self._news.problem,)))
            if self._news is not None:
                return self._news

    async def _taken(self, slot: Slot) -> SurveyResult | None:
        """Have the host take the job; nothing if it does not answer."""
        start = self._start
        needs = start.resume.finished.blobs() if start.resume else ()
        generation = start.resume.generation if start.resume else 0
        job = job_of(start.request.build_id, start.request.org_id, generation)
        try:
            return await take_job(slot.queue, SurveyInput(job=job, needs=needs), summary=f"Take the job on {slot.host}")
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            if _not_picked_up(error):
                return None
            raise NoSlot(read_failure(error)) from error

    def _request(self, asked_at: datetime) -> SlotRequest:
        request, terms = self._start.request, self._start.terms
        return SlotRequest(
            build_id=request.build_id,
            org_id=request.org_id,
            most=terms.most,
            asked_at=asked_at,
            seconds=terms.seconds,
            priority=request.priority,
            key=request.concurrency_key,
            # A retried build is an old one, however late it asks: it supersedes nobody.
            on_conflict="queue" if self._start.resume else request.on_conflict,
        )


def _not_picked_up(error: ActivityError) -> bool:
    cause = error.cause
    return isinstance(cause, ActivityTimedOut) and cause.type == TimeoutType.SCHEDULE_TO_START


def _silent() -> Problem:
    return Problem(
        code="host.silent",
        message=f"{_MOST_HOSTS} hosts in a row did not pick the build up.",
        retryable=True,
        next="See with `openfactory status` whether the hosts are up, then call retry_build.",
    )
