"""What every activity of a job is told about the job."""

from domain.build.steps import StepName, log_label
from domain.model import Value


class Job(Value):
    """The job an activity works for. `generation` counts the retries of the job."""

    job_id: str
    org_id: str
    generation: int = 0

    def log_label(self, step: StepName) -> str:
        """Name the log of `step` in the job's log stream."""
        return log_label(self.generation, step)
