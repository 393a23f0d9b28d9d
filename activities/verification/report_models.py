"""What the activity that writes reports takes and gives. Frozen values only: workflows import this module."""

from domain.model import Value
from domain.test_run.compare import Comparison
from domain.test_run.report import RunReport


class WriteReport(Value):
    """Write the reports of a run; evidence is named by key and read here. `previous` is the run to compare with."""

    report: RunReport
    previous: str | None = None


class ReportWritten(Value):
    """The reports' object keys, and what changed since the previous run, if that could be told."""

    junit: str
    html: str
    json_key: str
    comparison: Comparison | None = None
