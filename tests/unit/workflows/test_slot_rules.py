"""Which builds run, which wait and which are superseded."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from activities.machines.vm_models import HostCapacity
from workflows import fleet_rules, slot_rules
from workflows.fleet_models import FleetState
from workflows.slot_models import (
    BuildAnswer,
    Place,
    QueuePlace,
    Slot,
    SlotCheck,
    SlotEnd,
    SlotRefused,
    SlotRequest,
    SlotWait,
    Superseded,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def ask(build_id: str, org: str = "a", at: int = 0, **more: object) -> SlotRequest:
    """Ask `at` so many seconds after the beginning."""
    given = {"build_id": build_id, "org_id": org, "most": 9, "asked_at": NOW + timedelta(seconds=at), **more}
    return SlotRequest.model_validate(given)


class Fleet:
    """A fleet with hosts of so many slots each, and everything that it told."""

    def __init__(self, *slots: int) -> None:
        self.state = FleetState(token=1)
        self.told: list[BuildAnswer] = []
        self.now = NOW
        for number, builds in enumerate(slots):
            self.up(f"host{number}", builds)

    def up(self, name: str, builds: int) -> None:
        capacity = HostCapacity(
            host=name, queue=f"host:{name}", memory=4096, cpus=2, disk=1, accelerator="tcg", builds=builds
        )
        self.state = fleet_rules.host_up(self.state, capacity)
        self.settle()

    def reserve(self, *requests: SlotRequest) -> None:
        for request in requests:
            self.state, told = slot_rules.reserve(self.state, request)
            self.told += told
            self.settle()

    def release(self, build_id: str, *, completed: bool = False) -> None:
        self.state = slot_rules.release(self.state, SlotEnd(build_id=build_id, completed=completed), self.now)
        self.settle()

    def settle(self) -> None:
        self.state, told = slot_rules.settle(self.state, self.now)
        self.told += told

    def check(self) -> set[str]:
        self.state, told = slot_rules.check(self.state, self.now)
        assert all(isinstance(answer.told, SlotCheck) for answer in told)
        return {answer.build_id for answer in told}

    @property
    def running(self) -> list[str]:
        return [slot.request.build_id for slot in self.state.builds.running]

    @property
    def started(self) -> list[str]:
        """Who was given a slot, in order."""
        return [answer.build_id for answer in self.told if isinstance(answer.told, Slot)]

    def last(self, build_id: str) -> object:
        return [answer.told for answer in self.told if answer.build_id == build_id][-1]

    def positions(self, org: str = "a") -> dict[str, int]:
        return {place.build_id: place.position for place in self.places(org)}

    def starts(self, org: str = "a") -> dict[str, float | None]:
        return {p.build_id: p.starts_at and (p.starts_at - self.now).total_seconds() for p in self.places(org)}

    def places(self, org: str) -> list[QueuePlace]:
        return [place for place in slot_rules.places(self.state, self.now) if place.org_id == org]

    def drain(self) -> list[str]:
        """End whoever runs, one after the other, until nobody is left; answers in which order they started."""
        while self.state.builds.running:
            self.now += timedelta(seconds=1)
            self.release(self.running[0])
        return self.started


def test_builds_spread_over_the_hosts_and_the_rest_waits_in_order() -> None:
    fleet = Fleet(1, 1)
    fleet.reserve(*(ask(f"b{n}", at=n) for n in range(4)))
    assert {slot.host for slot in fleet.state.builds.running} == {"host0", "host1"}
    assert fleet.positions() == {"b2": 1, "b3": 2}
    assert isinstance(waits := fleet.last("b3"), SlotWait)
    assert (waits.position, waits.reason) == (2, "all hosts are at work on other builds")


def test_an_organization_runs_no_more_than_its_plan_lets_it() -> None:
    fleet = Fleet(8)
    fleet.reserve(*(ask(f"b{n}", at=n, most=2) for n in range(3)), ask("other", "b", 9, most=2))
    assert fleet.running == ["b0", "b1", "other"]
    assert isinstance(waits := fleet.last("b2"), SlotWait)
    assert waits.reason == "the plan lets 2 builds of the organization run at a time"


def test_a_flood_of_one_organization_does_not_starve_another() -> None:
    fleet = Fleet(1)
    fleet.reserve(*(ask(f"a{n}", "a", n) for n in range(30)), *(ask(f"b{n}", "b", 100 + n) for n in range(3)))
    assert fleet.positions("b") == {"b0": 1, "b1": 3, "b2": 5}
    assert fleet.drain()[:7] == ["a0", "b0", "a1", "b1", "a2", "b2", "a3"]


def test_a_priority_orders_the_organizations_own_builds_only() -> None:
    fleet = Fleet(1)
    fleet.reserve(ask("run", at=0), ask("low", at=1, priority="low"), ask("normal", at=2), ask("other", "b", 3))
    fleet.reserve(ask("high", at=4, priority="high"))
    assert fleet.drain() == ["run", "other", "high", "normal", "low"]


def test_what_was_forecast_is_what_happens() -> None:
    fleet = Fleet(1, 2)
    fleet.reserve(*(ask(f"{org}{n}", org, n * 3, most=2) for n in range(6) for org in "abc"))
    forecast = sorted(
        ((position, build) for org in "abc" for build, position in fleet.positions(org).items()),
    )
    began = len(fleet.started)
    assert fleet.drain()[began:] == [build for _, build in forecast]


def test_the_expected_start_comes_from_how_long_builds_take() -> None:
    fleet = Fleet(1)
    fleet.reserve(ask("first", at=0, seconds=100), ask("second", at=1, seconds=50), ask("third", at=2, seconds=50))
    assert fleet.starts() == {"second": 100, "third": 150}
    fleet.now += timedelta(seconds=30)
    assert fleet.starts() == {"second": 70, "third": 120}
    fleet.now += timedelta(seconds=500)
    assert fleet.starts()["second"] == 0


def test_without_any_history_no_start_is_promised_and_completed_builds_make_one() -> None:
    fleet = Fleet(1)
    fleet.reserve(*(ask(f"b{n}", at=n) for n in range(4)))
    assert fleet.starts() == {"b1": None, "b2": None, "b3": None}
    fleet.now += timedelta(seconds=80)
    fleet.release("b0", completed=True)
    assert fleet.starts() == {"b2": 80, "b3": 160}


def test_asking_again_keeps_the_place_also_of_a_fleet_that_was_begun_anew() -> None:
    fleet = Fleet(1)
    requests = [ask(f"b{n}", at=n) for n in range(4)]
    fleet.reserve(*requests)
    fleet.reserve(requests[1])
    assert fleet.positions() == {"b1": 1, "b2": 2, "b3": 3}
    anew = Fleet(0)
    anew.reserve(requests[3], requests[1], requests[2])
    anew.up("host0", 1)
    assert anew.running == ["b1"]
    assert anew.positions() == {"b2": 1, "b3": 2}


def test_a_build_that_has_a_slot_and_asks_is_given_the_same_one() -> None:
    fleet = Fleet(2)
    fleet.reserve(ask("b"), ask("b"))
    assert fleet.running == ["b"]
    assert isinstance(fleet.last("b"), Slot)


def test_leaving_the_queue_moves_the_others_up_and_tells_them() -> None:
    fleet = Fleet(1)
    fleet.reserve(*(ask(f"b{n}", at=n) for n in range(4)))
    fleet.release("b2")
    assert fleet.positions() == {"b1": 1, "b3": 2}
    assert isinstance(waits := fleet.last("b3"), SlotWait)
    assert waits.position == 2


def test_builds_of_one_key_run_one_at_a_time() -> None:
    fleet = Fleet(4)
    fleet.reserve(*(ask(f"b{n}", at=n, key="main") for n in range(3)), ask("other", "b", 9, key="main"))
    assert fleet.running == ["b0", "other"]
    assert isinstance(waits := fleet.last("b1"), SlotWait)
    assert "concurrency key main" in waits.reason


def test_a_newer_build_of_the_key_supersedes_those_that_wait() -> None:
    fleet = Fleet(4)
    fleet.reserve(*(ask(f"b{n}", at=n, key="main", on_conflict="cancel_queued") for n in range(3)))
    assert fleet.running == ["b0"]
    assert fleet.last("b1") == Superseded(by="b2")
    assert list(fleet.positions()) == ["b2"]


def test_a_newer_build_may_supersede_the_one_that_runs_and_waits_until_it_is_gone() -> None:
    fleet = Fleet(4)
    fleet.reserve(ask("old", at=0, key="main"), ask("new", at=1, key="main", on_conflict="cancel_running"))
    assert fleet.last("old") == Superseded(by="new")
    assert fleet.running == ["old"]
    fleet.release("old")
    assert fleet.running == ["new"]


def test_an_older_build_that_asks_late_leaves_the_newer_one_alone_that_runs() -> None:
    fleet = Fleet(4)
    fleet.reserve(ask("new", at=5, key="main"), ask("old", at=1, key="main", on_conflict="cancel_running"))
    assert isinstance(fleet.last("new"), Slot)
    assert fleet.running == ["new"]
    fleet.release("new")
    assert fleet.running == ["old"]


def test_an_older_build_that_asks_late_is_superseded_at_once() -> None:
    fleet = Fleet(4)
    fleet.reserve(ask("new", at=5, key="main", on_conflict="cancel_queued"), ask("old", at=1, key="main"))
    assert fleet.last("old") == Superseded(by="new")
    assert fleet.running == ["new"]


def test_another_organizations_key_is_another_key() -> None:
    fleet = Fleet(4)
    fleet.reserve(ask("a", "a", 0, key="main"), ask("b", "b", 1, key="main", on_conflict="cancel_running"))
    assert fleet.running == ["a", "b"]


def test_no_host_means_waiting_with_that_reason_and_a_lost_host_takes_no_more() -> None:
    fleet = Fleet()
    fleet.reserve(ask("b"))
    assert isinstance(waits := fleet.last("b"), SlotWait)
    assert (waits.reason, waits.starts_at) == ("no host is up", None)
    fleet.up("host0", 2)
    assert fleet.running == ["b"]
    fleet.state, _ = fleet_rules.host_lost(fleet.state, "host0")
    fleet.reserve(ask("c", at=1))
    assert fleet.running == ["b"]


def test_only_the_head_of_the_queue_hears_of_every_move() -> None:
    fleet = Fleet(1)
    fleet.reserve(*(ask(f"b{n:02}", at=n) for n in range(60)))
    fleet.told.clear()
    fleet.release("b00")
    moved = {answer.build_id for answer in fleet.told if isinstance(answer.told, SlotWait)}
    assert moved == {f"b{n:02}" for n in range(2, 22)}


def test_who_holds_a_slot_is_looked_for_while_others_wait() -> None:
    fleet = Fleet(1)
    fleet.reserve(ask("b0"))
    assert fleet.check() == set()
    fleet.reserve(ask("b1", at=1))
    assert fleet.check() == {"b0", "b1"}
    assert fleet.check() == set()
    fleet.now += timedelta(seconds=slot_rules.CHECK_SECONDS)
    assert fleet.check() == {"b0", "b1"}


def test_a_full_queue_refuses_and_keeps_the_places_it_gave() -> None:
    fleet = Fleet(0)
    full = FleetState(token=1)
    for n in range(3):
        full, _ = slot_rules.reserve(full, ask(f"b{n}", at=n))
    places = full.builds.waiting
    many = tuple(places[0].model_copy(update={"request": ask(f"m{n}", at=n)}) for n in range(slot_rules.MOST_WAITING))
    fleet.state = full.model_copy(update={"builds": full.builds.model_copy(update={"waiting": many})})
    _, told = slot_rules.reserve(fleet.state, ask("late", at=99999))
    assert isinstance(told[0].told, SlotRefused)
    again, told = slot_rules.reserve(fleet.state, ask("m7", at=7))
    assert told == ()
    assert len(again.builds.waiting) == slot_rules.MOST_WAITING


def test_the_longest_queue_fits_into_one_payload() -> None:
    fleet = Fleet(1)
    long = "\\" * 128
    requests = [
        ask(f"{n:036}", f"{n:036}", n, seconds=1234.5, priority="normal", key=long, on_conflict="cancel_running")
        for n in range(slot_rules.MOST_WAITING)
    ]
    builds = fleet.state.builds.model_copy(update={"waiting": tuple(Place(request=r, told=2000) for r in requests)})
    assert len(fleet.state.model_copy(update={"builds": builds}).model_dump_json()) < 2_000_000


def test_asking_again_while_waiting_changes_nothing_and_is_not_answered() -> None:
    fleet = Fleet(1)
    fleet.reserve(ask("b0"), ask("b1", at=1))
    before = fleet.state
    assert slot_rules.reserve(before, ask("b1", at=1)) == (before, ())


ORGS = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), ORGS, st.integers(0, 9), st.sampled_from([None, "k"])),
        st.tuples(st.just("release"), ORGS, st.integers(0, 9), st.none()),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_comes_no_limit_is_broken_and_nobody_waits_who_could_run(
    steps: list[tuple[str, str, int, str | None]],
) -> None:
    fleet = Fleet(1, 2)
    for at, (what, org, number, key) in enumerate(steps):
        build_id = f"{org}{number}"
        if what == "reserve":
            fleet.reserve(ask(build_id, org, at, most=2, key=key, on_conflict="cancel_queued"))
        else:
            fleet.release(build_id)
        running = fleet.state.builds.running
        assert len(fleet.running) == len(set(fleet.running)) <= 3
        assert all(sum(slot.request.org_id == o for slot in running) <= 2 for o in "abc")
        held = [(slot.request.org_id, slot.request.key) for slot in running if slot.request.key]
        assert len(held) == len(set(held))
        waiting = {place.request.build_id for place in fleet.state.builds.waiting}
        assert not waiting & set(fleet.running)
        positions = [p for o in "abc" for p in fleet.positions(o).values()]
        assert sorted(positions) == list(range(1, len(waiting) + 1))
        if waiting and len(running) < 3:
            reasons = {place.reason for place in slot_rules.places(fleet.state, NOW)}
            assert "all hosts are at work on other builds" not in reasons
