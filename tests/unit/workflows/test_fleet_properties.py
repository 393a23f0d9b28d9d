"""Whatever hosts and machines do, the fleet promises nothing twice."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from activities.machines.vm_models import HostCapacity
from workflows import fleet_rules as rules
from workflows.fleet_models import Answer, FleetState, GiveBack, Lease, Queued, Refusal, ReserveRequest

HOSTS = ("a", "b")
VMS = tuple(f"vm{number}" for number in range(6))


def capacity(name: str, memory: int = 2048) -> HostCapacity:
    return HostCapacity(host=name, queue=f"host:{name}", memory=memory, cpus=2, disk=50_000, accelerator="tcg")


def ask(vm_id: str, memory: int = 1000, host: str | None = None) -> ReserveRequest:
    return ReserveRequest(vm_id=vm_id, workflow_id=f"vm-{vm_id}", memory=memory, cpus=1, disk=1000, host=host)


@dataclass
class Fleet:
    """The rules, one after the other, with everything that was told."""

    state: FleetState = field(default_factory=lambda: FleetState(token=100))
    told: list[Answer] = field(default_factory=list[Answer])

    def up(self, name: str, memory: int = 2048) -> None:
        self._settled(rules.host_up(self.state, capacity(name, memory)))

    def lose(self, name: str) -> None:
        state, told = rules.host_lost(self.state, name)
        self.told += told
        self._settled(state)

    def reserve(self, vm_id: str, memory: int = 1000, host: str | None = None) -> None:
        self._settled(rules.reserve(self.state, ask(vm_id, memory, host)))

    def release(self, vm_id: str, token: int = 0) -> None:
        self._settled(rules.release(self.state, GiveBack(vm_id=vm_id, token=token)))

    def park(self, vm_id: str) -> None:
        self._settled(rules.park(self.state, GiveBack(vm_id=vm_id)))

    def leases(self, vm_id: str) -> list[Lease]:
        return [a.told for a in self.told if a.vm_id == vm_id and isinstance(a.told, Lease)]

    def _settled(self, state: FleetState) -> None:
        self.state, answers = rules.settle(state)
        self.told += answers


def test_who_waits_is_told_so_once_and_placed_when_room_comes() -> None:
    fleet = Fleet()
    fleet.up("a")
    fleet.reserve("vm0")
    fleet.reserve("vm1")
    fleet.reserve("vm1")
    assert [type(a.told) for a in fleet.told if a.vm_id == "vm1"] == [Queued]
    fleet.park("vm0")
    assert fleet.leases("vm1")


def test_a_parked_machine_keeps_its_disk_there() -> None:
    fleet = Fleet()
    fleet.up("a")
    fleet.reserve("vm0")
    before = rules.overview(fleet.state).hosts[0]
    fleet.park("vm0")
    after = rules.overview(fleet.state).hosts[0]
    assert (after.free.memory - before.free.memory, after.free.disk) == (1000, before.free.disk)


def test_a_small_request_may_pass_a_large_one_but_not_for_ever() -> None:
    fleet = Fleet()
    fleet.up("a", memory=2304)
    fleet.reserve("small0", 1000)
    fleet.reserve("large", 2000)
    for number in range(1, 40):
        fleet.reserve(f"small{number}", 1000)
        fleet.release(f"small{number - 1}")
    placed = [a.vm_id for a in fleet.told if isinstance(a.told, Lease)]
    assert placed.index("large") == 1 + rules.MOST_PASSED


def test_a_lease_that_was_given_anew_outlives_the_release_of_the_old_one() -> None:
    fleet = Fleet()
    fleet.up("a")
    fleet.reserve("vm0")
    old = fleet.leases("vm0")[0].token
    fleet.park("vm0")
    fleet.reserve("vm0", host="a")
    fleet.release("vm0", old)
    held = fleet.state.lease("vm0")
    assert held is not None
    assert held.token == fleet.leases("vm0")[-1].token > old


def test_a_machine_bound_to_a_lost_host_is_refused_and_welcome_again_when_it_is_back() -> None:
    fleet = Fleet()
    fleet.up("a")
    fleet.up("b")
    fleet.reserve("vm0", host="a")
    fleet.lose("a")
    fleet.reserve("vm0", host="a")
    refusal = fleet.told[-1].told
    assert isinstance(refusal, Refusal)
    assert (refusal.cause, refusal.problems[0].code) == ("fault", "host.lost")
    fleet.up("a")
    fleet.reserve("vm0", host="a")
    assert fleet.leases("vm0")[-1].host == "a"


def test_a_host_is_told_what_it_may_have_and_what_was_given_until_then() -> None:
    fleet = Fleet()
    fleet.up("a")
    fleet.reserve("vm0")
    fleet.lose("a")
    fleet.release("vm1")
    hold = rules.hold_of(fleet.state, "a")
    assert [(held.vm_id, held.token) for held in hold.vms] == [("vm0", 101)]
    assert hold.floor == 101


actions = st.one_of(
    st.tuples(st.just("up"), st.sampled_from(HOSTS)),
    st.tuples(st.just("lose"), st.sampled_from(HOSTS)),
    st.tuples(st.just("reserve"), st.sampled_from(VMS), st.integers(min_value=100, max_value=3000)),
    st.tuples(st.just("pinned"), st.sampled_from(VMS), st.sampled_from(HOSTS)),
    st.tuples(st.just("park"), st.sampled_from(VMS)),
    st.tuples(st.just("release"), st.sampled_from(VMS)),
)


@given(st.lists(actions, max_size=60))
def test_memory_is_never_promised_twice_and_tokens_only_grow(sequence: list[tuple[object, ...]]) -> None:
    fleet = Fleet()
    for kind, *given_to in sequence:
        if kind == "pinned":
            fleet.reserve(str(given_to[0]), host=str(given_to[1]))
        else:
            getattr(fleet, str(kind))(*given_to)
        for host in rules.overview(fleet.state).hosts:
            assert host.free.memory >= 0
            assert host.free.cpus >= 0
            assert host.free.disk >= 0
        ids = [lease.vm_id for lease in fleet.state.leases]
        assert len(ids) == len(set(ids))
    tokens = [answer.told.token for answer in fleet.told if isinstance(answer.told, Lease)]
    assert tokens == sorted(set(tokens))


@given(st.lists(actions, max_size=60))
def test_nobody_is_placed_on_a_host_that_is_lost(sequence: list[tuple[object, ...]]) -> None:
    fleet = Fleet()
    up: set[str] = set()
    for kind, *given_to in sequence:
        known = len(fleet.told)
        if kind == "pinned":
            fleet.reserve(str(given_to[0]), host=str(given_to[1]))
        else:
            getattr(fleet, str(kind))(*given_to)
        up = up | {str(given_to[0])} if kind == "up" else up - {str(given_to[0])} if kind == "lose" else up
        placed = {a.told.host for a in fleet.told[known:] if isinstance(a.told, Lease)}
        assert placed <= up
