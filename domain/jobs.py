"""What all kinds of long work have in common: how their workflows are named, and what is known of one under way."""

from typing import Literal, get_args

from domain.build.steps import StepName
from domain.model import Value

JobKind = Literal["build", "vm", "test-run", "image"]


def workflow_id(kind: JobKind, job_id: str) -> str:
    """Name the workflow of a job: a word that a person can read, and the job's id."""
    return f"{kind}-{job_id}"


def kind_of(workflow: str) -> tuple[JobKind, str] | None:
    """Read kind and id off a workflow's name; nothing for a workflow that is no job's."""
    kinds: tuple[JobKind, ...] = get_args(JobKind)
    for kind in kinds:
        if workflow.startswith(f"{kind}-"):
            return kind, workflow.removeprefix(f"{kind}-")
    return None


class OpenJob(Value):
    """A job that has not ended, as the read models show it.

    `step` is the last one that began, `booted` says that machines may have been booted for it; `queue` reaches
    the host that has the job's machine under the lease `token`, `machines` are the VMs that are its own.
    """

    kind: JobKind
    job_id: str
    org_id: str
    status: str
    generation: int = 0
    step: StepName | None = None
    booted: bool = False
    host: str | None = None
    queue: str | None = None
    token: int = 0
    machines: tuple[str, ...] = ()

    @property
    def workflow_id(self) -> str:
        """The workflow that should end it."""
        return workflow_id(self.kind, self.job_id)
