"""What plans allow: everything that they do not is told at once."""

import pytest

from domain.plan import PLANS, Usage, check_quota, check_spec, check_ttl, needs, plan_of, reserved_disk
from tests.machines import image, spec


def paths(plan: str, **changes: object) -> list[str | None]:
    return [problem.path for problem in check_spec(plan_of(plan), spec(**changes))]


def test_a_usual_machine_fits_every_plan_but_the_guests_way_out() -> None:
    assert [name for name in PLANS if paths(name, ttl=3600)] == ["guest"]
    assert paths("guest", ttl=3600) == ["egress"]
    assert paths("guest", ttl=3600, egress=False) == []


def test_everything_that_is_too_much_is_told_at_once() -> None:
    assert paths("guest", memory=2048, cpus=2, disk=9 << 10) == ["memory", "cpus", "disk_gb", "persistent", "egress"]
    assert paths("free", ttl=9 * 3600) == ["ttl_minutes"]


def test_machines_that_stay_are_for_plans_that_have_them() -> None:
    assert [name for name in PLANS if "persistent" in paths(name, ttl=None)] == ["guest", "free"]


def test_an_unknown_plan_allows_what_a_guest_may() -> None:
    assert plan_of("gold") == PLANS["guest"]


def test_a_local_operator_is_bound_by_the_hosts_alone() -> None:
    assert paths("self-hosted", memory=1 << 20, cpus=256, disk=1 << 20, ttl=None) == []


@pytest.mark.parametrize(("disk", "size", "expected"), [(None, 1, 1024), (None, 3 << 30, 6144), (20_480, 1, 20_480)])
def test_a_disk_is_counted_as_grown_or_as_twice_its_image(disk: int | None, size: int, expected: int) -> None:
    assert reserved_disk(spec(disk=disk, image=image(bytes=size))) == expected


def test_a_quota_counts_what_is_there_and_what_is_asked_for() -> None:
    free = plan_of("free")
    more = needs(spec(memory=1024, cpus=2))
    assert check_quota(free, Usage(vms=2, memory=3072, cpus=2), more) == ()
    over = check_quota(free, Usage(vms=3, memory=3073, cpus=3, disk=40 * 1024), more)
    assert [problem.path for problem in over] == ["vms", "memory", "cpus", "disk_gb"]
    assert {problem.code for problem in over} == {"vm.quota"}


def test_a_life_can_be_made_longer_up_to_the_plans_longest() -> None:
    assert check_ttl(plan_of("free"), 8 * 3600) == ()
    assert check_ttl(plan_of("free"), 8 * 3600 + 1)[0].path == "ttl_minutes"
