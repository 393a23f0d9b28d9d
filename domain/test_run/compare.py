"""What changed between two runs of the same cases."""

from typing import Literal

from domain.model import Value
from domain.test_run.report import CaseStatus, ReportCase, RunReport

MIN_SHARE = 0.25
MIN_SECONDS = 1.0

Change = Literal["newly_failing", "fixed", "still_failing", "new", "removed"]


class CaseChange(Value):
    """A case that is not simply as good as before. `before` or `now` is missing for a new or removed one."""

    name: str
    change: Change
    before: CaseStatus | None = None
    now: CaseStatus | None = None


class DurationChange(Value):
    """A case that took clearly longer or shorter, in seconds."""

    name: str
    before: float
    now: float

    @property
    def share(self) -> float:
        """The change as a share of what it was: 0.5 is half as long again; infinite from nothing."""
        return (self.now - self.before) / self.before if self.before else float("inf")


class Comparison(Value):
    """This run against an earlier one. Both lists are in the order of the cases, removed ones last."""

    run_id: str
    previous_run_id: str
    changes: tuple[CaseChange, ...] = ()
    durations: tuple[DurationChange, ...] = ()

    def named(self, change: Change) -> tuple[str, ...]:
        """Name the cases with this change."""
        return tuple(c.name for c in self.changes if c.change == change)

    @property
    def summary(self) -> str:
        """All of it in one line of text."""
        words: dict[Change, str] = {
            "newly_failing": "newly failing",
            "fixed": "fixed",
            "still_failing": "still failing",
            "new": "new",
            "removed": "removed",
        }
        parts = [f"{len(self.named(change))} {text}" for change, text in words.items() if self.named(change)]
        parts += [f"{len(self.durations)} with another duration"] if self.durations else []
        return ", ".join(parts) or "nothing changed"


def compare(now: RunReport, before: RunReport) -> Comparison:
    """Compare two runs case by case, by name.

    A failure and an error are both bad. A skipped case says nothing: it is neither fixed nor broken by that.
    A duration counts as changed beyond 25 % and a second, both together, and only between two that passed.
    """
    old = {case.name: case for case in before.cases}
    new = {case.name: case for case in now.cases}
    changes = [change for case in now.cases if (change := _change(case, old.get(case.name)))]
    changes += [CaseChange(name=c.name, change="removed", before=c.status) for c in before.cases if c.name not in new]
    return Comparison(
        run_id=now.run_id,
        previous_run_id=before.run_id,
        changes=tuple(changes),
        durations=tuple(d for case in now.cases if (d := _duration(case, old.get(case.name)))),
    )


def _change(case: ReportCase, old: ReportCase | None) -> CaseChange | None:
    if old is None:
        return CaseChange(name=case.name, change="new", now=case.status)
    bad, was_bad = (c.status in {"failed", "error"} for c in (case, old))
    change: Change | None = None
    if bad:
        change = "still_failing" if was_bad else "newly_failing"
    elif was_bad and case.status == "passed":
        change = "fixed"
    return change and CaseChange(name=case.name, change=change, before=old.status, now=case.status)


def _duration(case: ReportCase, old: ReportCase | None) -> DurationChange | None:
    if old is None or case.status != "passed" or old.status != "passed":
        return None
    difference = abs(case.seconds - old.seconds)
    if difference <= MIN_SECONDS or difference <= MIN_SHARE * old.seconds:
        return None
    return DurationChange(name=case.name, before=old.seconds, now=case.seconds)
