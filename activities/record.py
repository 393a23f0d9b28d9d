"""The activities that append to the event log, one for each kind of aggregate.

Each reads the aggregate's stream, decides the command against it and appends, once for the activity that
runs and its command, however often it does. They raise `Verdict` when the command does not fit (see
`domain.*.decide`), and `Fault` (`log.unavailable`, `log.contended`).
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

from temporalio import activity

from activities import record_models as m
from domain.build import decide as build_decide
from domain.build import state as build_state
from domain.event import Event
from domain.image import decide as image_decide
from domain.image import state as image_state
from domain.model import Value
from domain.rebuild import decide as rebuild_decide
from domain.rebuild import state as rebuild_state
from domain.saved_recipe import decide as saved_recipe_decide
from domain.saved_recipe import state as saved_recipe_state
from domain.suite import decide as suite_decide
from domain.suite import state as suite_state
from domain.test_run import decide as test_run_decide
from domain.test_run import state as test_run_state
from domain.vm import decide as vm_decide
from domain.vm import state as vm_state
from event_store.log import EventLog, Shown
from event_store.mapper import Cause
from event_store.metering import build_statements, vm_statements
from event_store.models.builds import BUILDS
from event_store.models.images import IMAGES
from event_store.models.rebuilds import REBUILDS
from event_store.models.saved_recipes import SAVED_RECIPES
from event_store.models.suites import SUITES
from event_store.models.test_runs import TEST_RUNS
from event_store.models.vms import VMS
from event_store.reservations import statements_of
from event_store.statements import Statement

_DIGITS = 16  # of a digest: it only has to differ from what else one activity was ever asked to record
_State = TypeVar("_State")
_Command = TypeVar("_Command")
_State_contra = TypeVar("_State_contra", contravariant=True)
_Command_contra = TypeVar("_Command_contra", contravariant=True)


class _Decide(Protocol[_State_contra, _Command_contra]):
    def __call__(
        self, state: _State_contra | None, command: _Command_contra, /, *, now: datetime
    ) -> Sequence[Event]: ...


class RecordActivities:
    """Appends what workflows tell. What it takes of quotas is reserved in the same transaction."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def all(self) -> list[Callable[..., Any]]:
        """Return every activity, for a worker."""
        return [
            self.record_build,
            self.record_vm,
            self.record_image,
            self.record_suite,
            self.record_test_run,
            self.record_recipe,
            self.record_rebuild,
        ]

    @activity.defn(name=m.RECORD_BUILD)
    async def record_build(self, request: m.RecordInput) -> m.RecordResult:
        """Append to a build; `build.quota` when the organization's allowance is spent."""
        decided = _decided(build_state.fold, build_decide.decide, request.command, request.at)
        also = build_statements(request.build_id, request.command, request.at)
        begins = request.command.kind == "request"
        return await self._append(
            request.build_id, request.command, decided, BUILDS.first_seen, also=also, begins=begins
        )

    @activity.defn(name=m.RECORD_VM)
    async def record_vm(self, request: m.RecordVmInput) -> m.RecordResult:
        """Append to a machine; `vm.quota` when the organization's quota does not allow it."""
        decided = _decided(vm_state.fold, vm_decide.decide, request.command, request.at)
        also = (
            *statements_of(request.stream_id, request.command),
            *vm_statements(request.stream_id, request.command, request.at),
        )
        return await self._append(request.stream_id, request.command, decided, VMS.first_seen, also=also)

    @activity.defn(name=m.RECORD_IMAGE)
    async def record_image(self, request: m.RecordImageInput) -> m.RecordResult:
        """Append to an uploaded image."""
        decided = _decided(image_state.fold, image_decide.decide, request.command, request.at)
        return await self._append(
            request.stream_id, request.command, decided, IMAGES.first_seen, begins=request.command.kind == "request"
        )

    @activity.defn(name=m.RECORD_SUITE)
    async def record_suite(self, request: m.RecordSuiteInput) -> m.RecordResult:
        """Append to a test suite."""
        decided = _decided(suite_state.fold, suite_decide.decide, request.command, request.at)
        return await self._append(request.stream_id, request.command, decided, SUITES.first_seen)

    @activity.defn(name=m.RECORD_TEST_RUN)
    async def record_test_run(self, request: m.RecordTestRunInput) -> m.RecordResult:
        """Append to a test run."""
        decided = _decided(test_run_state.fold, test_run_decide.decide, request.command, request.at)
        return await self._append(
            request.stream_id, request.command, decided, TEST_RUNS.first_seen, begins=request.command.kind == "request"
        )

    @activity.defn(name=m.RECORD_RECIPE)
    async def record_recipe(self, request: m.RecordRecipeInput) -> m.RecordResult:
        """Append to a saved recipe."""
        decided = _decided(saved_recipe_state.fold, saved_recipe_decide.decide, request.command, request.at)
        return await self._append(request.stream_id, request.command, decided, SAVED_RECIPES.first_seen)

    @activity.defn(name=m.RECORD_REBUILD)
    async def record_rebuild(self, request: m.RecordRebuildInput) -> m.RecordResult:
        """Append to a rebuild schedule."""
        decided = _decided(rebuild_state.fold, rebuild_decide.decide, request.command, request.at)
        return await self._append(request.stream_id, request.command, decided, REBUILDS.first_seen)

    async def _append(
        self,
        stream: str,
        command: Value,
        decided: Callable[[tuple[Any, ...]], Sequence[Event]],
        shown: Shown,
        *,
        also: Sequence[Statement] = (),
        begins: bool = False,
    ) -> m.RecordResult:
        info = activity.info()
        told = hashlib.sha256(command.model_dump_json().encode()).hexdigest()[:_DIGITS]
        cause = Cause(run_id=info.workflow_run_id or "", activity_id=info.activity_id, command=told)
        append = partial(self._log.append, also=also, begins=begins, shown=shown)
        done = await asyncio.to_thread(append, UUID(stream), cause, decided)
        return m.RecordResult(version=done.version, appended=done.appended)


def _decided(
    fold: Callable[[tuple[Any, ...]], _State | None],
    decide: _Decide[_State, _Command],
    command: _Command,
    at: datetime,
) -> Callable[[tuple[Any, ...]], Sequence[Event]]:
    """Make the function that the log asks what to append to a history."""
    return lambda history: decide(fold(history), command, now=at)
