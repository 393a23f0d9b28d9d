"""What the tools answer about suites."""

from datetime import datetime
from typing import Any

from domain.errors import Problem
from domain.model import Value
from domain.suite.inputs import Binding


class SuiteSummary(Value):
    """A suite in a list."""

    suite_id: str
    name: str
    description: str
    slots: tuple[str, ...]
    bound: tuple[str, ...]
    cases: int
    version: int
    created_at: datetime
    updated_at: datetime


class SuiteExample(Value):
    """A built-in suite, whose name create_test_suite takes."""

    name: str
    description: str


class SuitePage(Value):
    """Some suites, newest first, and the cursor of the next page. `examples` come with the first page."""

    suites: tuple[SuiteSummary, ...]
    examples: tuple[SuiteExample, ...] = ()
    next_cursor: str | None = None


class SlotView(Value):
    """A slot and the image bound to it. `status` is the build's; `absent` if it is not there any more."""

    name: str
    description: str
    required: bool
    memory: int
    cpus: int
    target: Binding | None = None
    image: str | None = None
    status: str | None = None
    verified: bool | None = None


class ReadinessView(Value):
    """Whether a run can start. `problems` stand in its way; `warnings` do not, but should be read."""

    ready: bool
    unbound: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class LatestRun(Value):
    """The latest run of a suite, in a few words."""

    run_id: str
    status: str
    created_at: datetime
    seconds: float | None = None
    passed: int
    total: int
    failure: str | None = None


class SuiteView(Value):
    """One suite. `document` is its canonical form, ready to be changed; `visible` is false until it can be read."""

    suite_id: str
    name: str
    version: int
    visible: bool = True
    replayed: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    slots: tuple[SlotView, ...] = ()
    cases: tuple[str, ...] = ()
    readiness: ReadinessView | None = None
    latest_run: LatestRun | None = None
    document: dict[str, Any] | None = None
    next: str | None = None
    cut: str | None = None
