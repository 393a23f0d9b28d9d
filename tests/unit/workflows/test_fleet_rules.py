"""Who gets room where."""

from activities.machines.vm_models import HostCapacity
from workflows import fleet_rules as rules
from workflows.fleet_models import FleetState, GiveBack, Lease, Queued, Refusal, ReserveRequest


def host(name: str, memory: int = 4096) -> HostCapacity:
    return HostCapacity(host=name, queue=f"host:{name}", memory=memory, cpus=2, disk=100_000, accelerator="tcg")


def request(vm: str, memory: int = 512, networks: tuple[str, ...] = (), where: str | None = None) -> ReserveRequest:
    return ReserveRequest(
        vm_id=vm, workflow_id=f"vm-{vm}", memory=memory, cpus=1, disk=1024, networks=networks, host=where
    )


def fleet(*hosts: HostCapacity) -> FleetState:
    state = FleetState(token=100)
    for capacity in hosts:
        state = rules.host_up(state, capacity)
    return state


def told(state: FleetState, *requests: ReserveRequest) -> tuple[FleetState, dict[str, object]]:
    for one in requests:
        state = rules.reserve(state, one)
    state, answers = rules.settle(state)
    return state, {answer.vm_id: answer.told for answer in answers}


def place(answers: dict[str, object], vm: str) -> str:
    lease = answers[vm]
    assert isinstance(lease, Lease)
    return lease.host


def test_machines_spread_over_the_hosts_with_most_memory() -> None:
    _, answers = told(fleet(host("a"), host("b")), request("1"), request("2"))
    assert {place(answers, "1"), place(answers, "2")} == {"a", "b"}


def test_machines_of_one_private_network_come_to_one_host() -> None:
    state, answers = told(fleet(host("a"), host("b", 8192)), request("1", networks=("o/run/net",)))
    first = place(answers, "1")
    others = [request(str(n), networks=("o/run/net", "o/run/more")) for n in range(2, 6)]
    _, answers = told(state, *others)
    assert {place(answers, str(n)) for n in range(2, 6)} == {first}


def test_a_full_host_makes_the_others_of_its_network_wait_while_strangers_go_elsewhere() -> None:
    state, answers = told(fleet(host("a", 1300), host("b", 1300)), request("1", 1000, ("net",)))
    here = place(answers, "1")
    state, answers = told(state, request("2", 1000, ("net",)), request("3", 1000))
    waiting = answers["2"]
    assert isinstance(waiting, Queued)
    assert here in waiting.reason
    assert place(answers, "3") != here
    state = rules.release(state, GiveBack(vm_id="1"))
    _, answers = told(state)
    assert place(answers, "2") == here


def test_tokens_only_ever_grow_also_for_the_same_machine() -> None:
    state, answers = told(fleet(host("a")), request("1"), request("2"))
    first, second = answers["1"], answers["2"]
    state = rules.release(state, GiveBack(vm_id="1"))
    _, answers = told(state, request("1"))
    third = answers["1"]
    assert isinstance(first, Lease)
    assert isinstance(second, Lease)
    assert isinstance(third, Lease)
    assert 100 < first.token < second.token < third.token


def test_what_no_host_can_ever_have_is_refused_with_every_reason() -> None:
    _, answers = told(fleet(host("a")), request("1", 100_000).model_copy(update={"cpus": 99}))
    refused = answers["1"]
    assert isinstance(refused, Refusal)
    assert {problem.code for problem in refused.problems} == {"host.memory", "host.cpus"}


def test_a_lost_host_takes_no_new_machines_and_says_whom_it_had() -> None:
    state, answers = told(fleet(host("a"), host("b")), request("1"))
    gone = place(answers, "1")
    state, lost = rules.host_lost(state, gone)
    assert [answer.vm_id for answer in lost] == ["1"]
    _, answers = told(state, *(request(str(n)) for n in range(2, 5)))
    assert gone not in {place(answers, str(n)) for n in range(2, 5)}
