"""What each plan allows its callers, their machines and builds. All problems are told at once; MiB and seconds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from domain.caller import Permission
from domain.errors import Problem
from domain.model import Value
from domain.vm.spec import VmSpec

_GIB: Final = 1024
_KIB_BYTES: Final = 1 << 10
_MIB_BYTES: Final = 1 << 20
_HOUR: Final = 3600
_SMALLEST_DISK: Final = 1 * _GIB


class Rate(Value):
    """How often one caller may ask: `burst` requests, then `per_second`; `at_once` bounds those that are open.

    What is sent is kept in log and histories for days, so `burst_bytes`, then `bytes_per_second` bound how much
    it is. Who is given no other figures may send what a guest may.
    """

    per_second: float
    burst: int
    at_once: int
    bytes_per_second: int = 4 * _KIB_BYTES
    burst_bytes: int = 4 * _MIB_BYTES


def _usual_rate(bytes_per_second: int, burst_bytes: int) -> Rate:
    return Rate(per_second=20, burst=200, at_once=64, bytes_per_second=bytes_per_second, burst_bytes=burst_bytes)


class Allowance(Value):
    """What a metered organization may spend. A day is the last 24 hours, whenever that is.

    `open_builds` are builds that were asked for and do not rest; `vm_minutes` are reserved with a machine's
    whole life and given back when it is deleted earlier.
    """

    builds_per_day: int
    open_builds: int
    vm_minutes_per_day: int


class Plan(Value):
    """The most that an organization may have at one time. `longest_ttl` bounds each machine's life.

    `snapshots` bounds how many each machine keeps; what one takes on its host is not counted as `disk`.
    `persistent` allows machines without an end, `egress` a way out of the guest's network. Nothing is metered
    without an `allowance`; one that has it has no persistent machines. So many days after its end a job's images and
    files are removed (`artifacts_days`), and its log, evidence and history (`evidence_days`); without a number they
    are kept until somebody deletes them. `builds` run at a time, `queued_builds` wait for that. `schedules` look for
    updates of packages, no oftener than each `shortest_rebuild`. So many `recipes` are kept under a name.
    """

    name: str
    permissions: frozenset[Permission] = frozenset(Permission)
    rate: Rate
    allowance: Allowance | None = None
    vms: int
    memory: int
    cpus: int
    disk: int
    snapshots: int
    longest_ttl: int
    persistent: bool
    egress: bool
    artifacts_days: int | None = None
    evidence_days: int | None = None
    builds: int
    queued_builds: int
    schedules: int
    shortest_rebuild: int
    recipes: int


class Usage(Value):
    """What an organization holds now: every machine that is not deleted counts."""

    vms: int = 0
    memory: int = 0
    cpus: int = 0
    disk: int = 0


_OPERATOR = Plan(
    name="operator",
    rate=Rate(
        per_second=500,
        burst=5000,
        at_once=1024,
        bytes_per_second=64 * _MIB_BYTES,
        burst_bytes=4096 * _MIB_BYTES,
    ),
    vms=2000,
    memory=4096 * _GIB,
    cpus=4096,
    disk=65536 * _GIB,
    snapshots=100,
    longest_ttl=365 * 24 * _HOUR,
    persistent=True,
    egress=True,
    builds=64,
    queued_builds=2000,
    schedules=1000,
    shortest_rebuild=_HOUR // 4,
    recipes=100_000,
)
PLANS: Mapping[str, Plan] = MappingProxyType(
    {
        "operator": _OPERATOR,
        "self-hosted": _OPERATOR,  # what a factory without accounts calls its only caller's plan
        "guest": Plan(
            name="guest",
            permissions=frozenset({Permission.READ, Permission.BUILD, Permission.VM}),
            rate=Rate(per_second=2, burst=60, at_once=8),
            allowance=Allowance(builds_per_day=5, open_builds=2, vm_minutes_per_day=120),
            vms=1,
            memory=1 * _GIB,
            cpus=1,
            disk=8 * _GIB,
            snapshots=2,
            longest_ttl=1 * _HOUR,
            persistent=False,
            egress=False,
            artifacts_days=1,
            evidence_days=7,
            builds=1,
            queued_builds=5,
            schedules=0,
            shortest_rebuild=24 * _HOUR,
            recipes=20,
        ),
        "free": Plan(
            name="free",
            rate=_usual_rate(32 * _KIB_BYTES, 32 * _MIB_BYTES),
            vms=3,
            memory=4 * _GIB,
            cpus=4,
            disk=40 * _GIB,
            snapshots=5,
            longest_ttl=8 * _HOUR,
            persistent=False,
            egress=True,
            artifacts_days=7,
            evidence_days=30,
            builds=1,
            queued_builds=5,
            schedules=1,
            shortest_rebuild=24 * _HOUR,
            recipes=50,
        ),
        "pro": Plan(
            name="pro",
            rate=_usual_rate(256 * _KIB_BYTES, 128 * _MIB_BYTES),
            vms=20,
            memory=64 * _GIB,
            cpus=64,
            disk=1000 * _GIB,
            snapshots=20,
            longest_ttl=7 * 24 * _HOUR,
            persistent=True,
            egress=True,
            artifacts_days=90,
            evidence_days=365,
            builds=4,
            queued_builds=100,
            schedules=20,
            shortest_rebuild=6 * _HOUR,
            recipes=500,
        ),
        "enterprise": Plan(
            name="enterprise",
            rate=_usual_rate(1 * _MIB_BYTES, 512 * _MIB_BYTES),
            vms=200,
            memory=1024 * _GIB,
            cpus=1024,
            disk=16384 * _GIB,
            snapshots=50,
            longest_ttl=90 * 24 * _HOUR,
            persistent=True,
            egress=True,
            artifacts_days=365,
            builds=16,
            queued_builds=1000,
            schedules=200,
            shortest_rebuild=_HOUR,
            recipes=5000,
        ),
    }
)
"""All plans by their names."""


def plan_of(name: str) -> Plan:
    """Return the plan of this name; an unknown one allows what a guest may."""
    return PLANS.get(name, PLANS["guest"])


def reserved_disk(spec: VmSpec) -> int:
    """Tell the disk space that a machine is counted with: its grown disk, else twice its image, at least 1 GiB.

    Its own disk is copy-on-write and holds only what it writes; this leaves room for that.
    """
    if spec.disk is not None:
        return spec.disk
    return max(_SMALLEST_DISK, 2 * -(-spec.image.bytes // (1 << 20)))


def needs(spec: VmSpec) -> Usage:
    """Tell what one machine takes."""
    return Usage(vms=1, memory=spec.memory, cpus=spec.cpus, disk=reserved_disk(spec))


def check_spec(plan: Plan, spec: VmSpec) -> tuple[Problem, ...]:
    """Tell everything that the plan does not allow about this machine, whatever else there is."""
    problems = [
        _too_much(plan, path, wanted, most, unit)
        for path, wanted, most, unit in (
            ("memory", spec.memory, plan.memory, " MiB"),
            ("cpus", spec.cpus, plan.cpus, ""),
            ("disk_gb", reserved_disk(spec), plan.disk, " MiB"),
        )
        if wanted > most
    ]
    if spec.ttl is None and not plan.persistent:
        problems.append(_refusal(plan, "persistent", "has no machines that stay", "Give ttl_minutes instead."))
    if spec.ttl is not None and spec.ttl > plan.longest_ttl:
        problems.append(_ttl(plan))
    if spec.egress and not plan.egress:
        problems.append(_refusal(plan, "egress", "gives machines no way out", "Ask for it with egress=false."))
    return tuple(problems)


def check_ttl(plan: Plan, seconds: float) -> tuple[Problem, ...]:
    """Tell what is wrong with a machine that is to live so many seconds from now."""
    return (_ttl(plan),) if seconds > plan.longest_ttl else ()


def check_quota(plan: Plan, used: Usage, more: Usage) -> tuple[Problem, ...]:
    """Tell everything of which there would be too much, were `more` added to what the organization holds."""
    return tuple(
        Problem(
            code="vm.quota",
            message=f"The plan {plan.name} allows {most}{unit} {what} at a time; {held} are in use and {new} more "
            "were asked for.",
            path=path,
            next="Delete machines that are no longer needed (list_vms shows them), or ask for less.",
        )
        for path, what, unit, held, new, most in (
            ("vms", "machines", "", used.vms, more.vms, plan.vms),
            ("memory", "of memory", " MiB", used.memory, more.memory, plan.memory),
            ("cpus", "processors", "", used.cpus, more.cpus, plan.cpus),
            ("disk_gb", "of disk", " MiB", used.disk, more.disk, plan.disk),
        )
        if held + new > most
    )


def check_queue(plan: Plan, waiting: int) -> tuple[Problem, ...]:
    """Tell whether one more build may be asked for when so many wait already."""
    if waiting < plan.queued_builds:
        return ()
    problem = Problem(
        code="build.queue_full",
        message=f"The plan {plan.name} allows {plan.queued_builds} builds to wait at a time, and {waiting} do.",
        path="queued_builds",
        retryable=True,
        next="Wait until some of them have run (list_builds with status=pending shows them), or cancel some.",
    )
    return (problem,)


def check_schedule(plan: Plan, every: int) -> tuple[Problem, ...]:
    """Tell whether packages may be looked at every so many seconds."""
    if every >= plan.shortest_rebuild:
        return ()
    hours = plan.shortest_rebuild / _HOUR
    problem = Problem(
        code="rebuild.over_plan",
        message=f"The plan {plan.name} lets a schedule look every {hours:g} hours at the most.",
        path="every_hours",
        value=f"{every / _HOUR:g}",
        next="Ask for a longer interval.",
    )
    return (problem,)


def check_schedules(plan: Plan, held: int) -> tuple[Problem, ...]:
    """Tell whether there may be one more schedule."""
    if held < plan.schedules:
        return ()
    none = plan.schedules == 0
    problem = Problem(
        code="rebuild.quota",
        message=f"The plan {plan.name} has no rebuild schedules."
        if none
        else f"The plan {plan.name} allows {plan.schedules} rebuild schedules, and there are {held}.",
        path="schedules",
        next="Call create_build whenever the image is to be made anew."
        if none
        else "Delete one that is no longer needed (list_rebuild_schedules shows them).",
    )
    return (problem,)


def check_recipes(plan: Plan, held: int) -> tuple[Problem, ...]:
    """Tell whether one more recipe may be kept."""
    if held < plan.recipes:
        return ()
    problem = Problem(
        code="recipe.quota",
        message=f"The plan {plan.name} allows {plan.recipes} saved recipes, and there are {held}.",
        path="recipes",
        next="Delete one that is no longer needed (delete_recipe; list_recipes shows them), or replace one: save under "
        "its name with expected_version.",
    )
    return (problem,)


def _too_much(plan: Plan, path: str, wanted: int, most: int, unit: str) -> Problem:
    return Problem(
        code="vm.over_plan",
        message=f"The plan {plan.name} allows {most}{unit} of {path.removesuffix('_gb')}, and {wanted}{unit} "
        "were asked for.",
        path=path,
        value=str(wanted),
        next="Ask for less.",
    )


def _ttl(plan: Plan) -> Problem:
    minutes = plan.longest_ttl // 60
    return _refusal(plan, "ttl_minutes", f"lets a machine live {minutes} minutes at most", "Ask for a shorter time.")


def _refusal(plan: Plan, path: str, what: str, next_step: str) -> Problem:
    return Problem(code="vm.over_plan", message=f"The plan {plan.name} {what}.", path=path, next=next_step)
