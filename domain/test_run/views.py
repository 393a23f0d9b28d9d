"""What the tools answer about test runs. What was found came from guests: untrusted data."""

from datetime import datetime
from typing import Any

from pydantic import Field

from domain.errors import Problem
from domain.model import Value
from domain.test_run.compare import CaseChange
from domain.test_run.inputs import CaseKind, RunKind, RunTarget
from domain.test_run.results import CaseStatus
from domain.test_run.state import Counts, RunStatus


class RunSummary(Value):
    """A run in a list. `failure` names the first case that went wrong, and why."""

    run_id: str
    kind: RunKind
    name: str
    target: RunTarget
    status: RunStatus
    created_at: datetime
    updated_at: datetime
    seconds: float | None = None
    counts: Counts
    failure: str | None = None
    held_until: datetime | None = None
    rerun_of: str | None = None


class RunPage(Value):
    """Some runs, newest first, and the cursor of the next page."""

    runs: tuple[RunSummary, ...]
    next_cursor: str | None = None


class RunMachineView(Value):
    """The machine of a slot. `image` says what it was booted from; `ready_seconds` until its guest answered."""

    slot: str
    vm_id: str | None = None
    image: str | None = None
    source_id: str | None = None
    ready_seconds: float | None = None
    kept: bool = False


class ResultView(Value):
    """One assertion or step with its evidence. `command` is what was run in the guest."""

    slot: str
    description: str
    type: str
    params: dict[str, Any] = Field(default_factory=dict[str, Any])
    passed: bool
    expected: str
    found: str
    command: str = ""
    seconds: float = 0.0


class CaseView(Value):
    """One case. `passed` and `failed` count all results; `results` may hold only some."""

    name: str
    kind: CaseKind
    slot: str
    status: CaseStatus
    seconds: float | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    passed: int = 0
    failed: int = 0
    problems: tuple[Problem, ...] = ()
    results: tuple[ResultView, ...] = ()


class FileLink(Value):
    """A file of the run: a link that works for an hour without a key."""

    name: str
    url: str
    expires_at: datetime


class ComparisonView(Value):
    """What changed since the previous run of the same suite, build or machine."""

    previous_run_id: str
    summary: str
    changes: tuple[CaseChange, ...] = ()


class RunProgress(Value):
    """How far a run is. `doing` names the case at work, or what is waited for.

    When it is expected to end comes from the run before of the same suite, build or machine.
    """

    done: int
    total: int
    percent: float = 0.0
    doing: str | None = None
    elapsed_seconds: float
    expected_seconds: float | None = None
    expected_end: datetime | None = None


class RunView(Value):
    """One test run. `visible` is false while the read model does not show it yet.

    `passed`: every case did. `failed`: what was tested is wrong. `error`: the factory could not test it, which
    says nothing about the images. `cut` says what was left out to keep the answer small.
    """

    run_id: str
    workflow_id: str
    name: str
    status: RunStatus
    version: int
    kind: RunKind | None = None
    target: RunTarget | None = None
    visible: bool = True
    replayed: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    seconds: float | None = None
    rerun_of: str | None = None
    parameters: dict[str, str | bool | int] = Field(default_factory=dict[str, str | bool | int])
    progress: RunProgress | None = None
    counts: Counts = Counts()
    machines: tuple[RunMachineView, ...] = ()
    cases: tuple[CaseView, ...] = ()
    problems: tuple[Problem, ...] = ()
    comparison: ComparisonView | None = None
    files: tuple[FileLink, ...] = ()
    held_until: datetime | None = None
    next: str | None = None
    cut: str | None = None
    untrusted: bool = True
