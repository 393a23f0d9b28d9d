"""What a metered organization has spent of its plan's allowance, and what it may still ask for."""

from datetime import datetime
from typing import Literal

from domain.errors import Problem
from domain.model import Value
from domain.plan import Allowance

Meter = Literal["builds", "vm_minutes"]


class Spent(Value):
    """What counts now: of the last 24 hours, and what is open. `…_at` is when the oldest of it stops counting."""

    builds: int = 0
    open_builds: int = 0
    builds_at: datetime | None = None
    vm_minutes: int = 0
    vm_minutes_at: datetime | None = None


class Quota(Value):
    """One limit of a plan and what is left of it. `frees_at` is when more of it comes back by itself."""

    name: str
    limit: int
    used: int
    left: int
    frees_at: datetime | None = None


def check_builds(plan: str, allowance: Allowance, spent: Spent) -> tuple[Problem, ...]:
    """Tell why no build may be started now, or nothing."""
    problems: list[Problem] = []
    if spent.builds >= allowance.builds_per_day:
        message = f"The plan {plan} allows {allowance.builds_per_day} builds in 24 hours, and all are spent."
        problems.append(_refusal("build.quota", "builds_per_day", message, _when(spent.builds_at)))
    if spent.open_builds >= allowance.open_builds:
        message = f"The plan {plan} allows {allowance.open_builds} builds at a time, and {spent.open_builds} are open."
        advice = "Wait until one ends (list_builds shows them), or call cancel_build for one that is not needed."
        problems.append(_refusal("build.quota", "open_builds", message, advice))
    return tuple(problems)


def check_minutes(plan: str, allowance: Allowance, spent: Spent, more: int) -> tuple[Problem, ...]:
    """Tell why a machine may not live `more` minutes (longer), or nothing."""
    left = max(0, allowance.vm_minutes_per_day - spent.vm_minutes)
    if more <= left:
        return ()
    message = (
        f"The plan {plan} allows machines {allowance.vm_minutes_per_day} minutes in 24 hours; {left} are left and "
        f"{more} were asked for."
    )
    advice = f"Ask for ttl_minutes={left}, or delete a machine early." if left else _when(spent.vm_minutes_at)
    return (_refusal("vm.quota", "ttl_minutes", message, advice),)


def minutes_of(seconds: float) -> int:
    """Count what has begun: a machine that lives 61 seconds costs two minutes."""
    return int(-(-seconds // 60))


def quotas(allowance: Allowance, spent: Spent) -> tuple[Quota, ...]:
    """Tell what is left of everything."""
    return (
        _quota("builds_per_day", allowance.builds_per_day, spent.builds, spent.builds_at),
        _quota("open_builds", allowance.open_builds, spent.open_builds, None),
        _quota("vm_minutes_per_day", allowance.vm_minutes_per_day, spent.vm_minutes, spent.vm_minutes_at),
    )


def _quota(name: str, limit: int, used: int, frees_at: datetime | None) -> Quota:
    return Quota(name=name, limit=limit, used=used, left=max(0, limit - used), frees_at=frees_at)


def _when(frees_at: datetime | None) -> str:
    if frees_at is None:
        return "Try again tomorrow; whoami shows what is left."
    return f"More comes back at {frees_at:%Y-%m-%d %H:%M} UTC; whoami shows what is left."


def _refusal(code: str, path: str, message: str, advice: str) -> Problem:
    return Problem(code=code, message=message, path=path, next=advice)
