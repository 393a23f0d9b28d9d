"""What is kept and for how long, decided without I/O: which object nobody needs any more, and why."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from domain.model import Value
from domain.plan import plan_of

GRACE: Final = timedelta(hours=24)
"""How old an object must be before it is removed because nobody refers to it: what was just stored is not known yet."""
RENEW_AFTER: Final = timedelta(hours=12)
"""Whoever takes up an object that is older than this writes it anew, so that its grace begins again."""

HALF_DONE_GRACE: Final = GRACE
"""How long ago an upload by parts must have been begun before it is given up: longer than any may take."""

_OF_JOBS: Final = {
    "logs/": "logs",
    "evidence/": "evidence",
    "reports/": "reports of test runs",
    "artifacts/": "files of test runs",
    "screens/": "screenshots",
    "histories/": "histories",
}
PREFIXES: Final = ("blobs/", "uploads/", *_OF_JOBS)
"""Beginnings of the keys of everything that may be removed. What begins otherwise is not ours."""
_ID: Final = 36  # a UUID in its usual form


class JobFate(Value):
    """What became of a job. `ended_at` is nothing while it goes on."""

    job_id: str
    plan: str
    ended_at: datetime | None = None
    deleted: bool = False


class References(Value):
    """What is referred to: blobs by digest, other objects by their job, screenshots by the test runs that show them."""

    digests: frozenset[str]
    jobs: Mapping[str, JobFate]
    shown: Mapping[str, tuple[str, ...]] = {}


class Removable(Value):
    """An object that nobody needs, what kind of thing it is, and why it may go."""

    kind: str
    reason: str


HALF_DONE: Final = Removable(kind="parts of half-done uploads", reason="begun more than a day ago and never ended")


def removable(key: str, modified: datetime, references: References, now: datetime) -> Removable | None:
    """Tell why an object may be removed; nothing if it must stay."""
    if now - modified < GRACE:
        return None
    if any(_of_job("", references.jobs.get(run), now) is None for run in references.shown.get(key, ())):
        return None
    if key.startswith("blobs/"):
        digest = key.removeprefix("blobs/")
        return None if digest in references.digests else Removable(kind="blobs", reason="nobody refers to it")
    if key.startswith("uploads/"):
        return _of_job("parts of uploads", references.jobs.get(key.split("/")[1]), now, parts=True)
    kind = next((kind for prefix, kind in _OF_JOBS.items() if key.startswith(prefix)), None)
    return None if kind is None else _of_job(kind, references.jobs.get(key.split("/")[1][-_ID:]), now)


def artifacts_are_over(fate: JobFate, now: datetime) -> str | None:
    """Tell why the plan keeps the files of a job no longer."""
    return _over(fate, plan_of(fate.plan).artifacts_days, "images and files", now)


def _of_job(kind: str, fate: JobFate | None, now: datetime, *, parts: bool = False) -> Removable | None:
    if fate is None:
        return Removable(kind=kind, reason="there is no such job")
    if parts:
        return Removable(kind=kind, reason="the upload is over") if fate.ended_at else None
    if fate.deleted and fate.ended_at is not None and now - fate.ended_at >= GRACE:
        return Removable(kind=kind, reason="the job was deleted")
    over = _over(fate, plan_of(fate.plan).evidence_days, "logs and evidence", now)
    return Removable(kind=kind, reason=over) if over else None


def _over(fate: JobFate, days: int | None, what: str, now: datetime) -> str | None:
    if days is None or fate.ended_at is None or now - fate.ended_at < timedelta(days=days):
        return None
    return f"The plan {fate.plan} keeps {what} for {days} {'day' if days == 1 else 'days'}."
