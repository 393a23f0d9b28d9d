"""Given events, when command, then events: machines."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Problem, Verdict
from domain.vm import commands as c
from domain.vm import events as e
from domain.vm.decide import decide
from domain.vm.orders import OrderKind
from domain.vm.spec import PortForward
from domain.vm.state import VmState, fold
from tests.machines import NOON, VM_ID, request

PROBLEM = Problem(code="guest.silent", message="no agent")
REQUEST = c.RequestVm(request=request())
CREATED = c.RecordCreated(token=1, accelerator="tcg", fetched=True, disk_bytes=5)


def placed(token: int = 1) -> c.RecordPlaced:
    return c.RecordPlaced(host="one", queue="host:one", token=token, relay="http://one")


def started(boot: int = 1, token: int = 1, command_id: str | None = None) -> c.RecordStarted:
    return c.RecordStarted(token=token, boot=boot, seconds=0.5, command_id=command_id)


def ready(boot: int = 1, token: int = 1) -> c.RecordReady:
    return c.RecordReady(token=token, boot=boot, via="agent", seconds=4.0, addresses=("10.0.0.2",))


def stopped(boot: int = 1, token: int = 1, command_id: str | None = None) -> c.RecordStopped:
    return c.RecordStopped(token=token, boot=boot, how="graceful", command_id=command_id)


def accept(command: OrderKind, command_id: str = "c1", snapshot_id: str | None = None) -> c.AcceptOrder:
    return c.AcceptOrder(command_id=command_id, command=command, requested_by="ann", snapshot_id=snapshot_id)


def snapshot(snapshot_id: str = "s1", command_id: str | None = None) -> c.RecordSnapshot:
    return c.RecordSnapshot(snapshot_id=snapshot_id, name="x", memory=True, bytes=1, seconds=1.0, command_id=command_id)


def begin(command_id: str = "c1") -> c.BeginOrder:
    return c.BeginOrder(command_id=command_id)


def end(command_id: str) -> c.EndOrder:
    return c.EndOrder(command_id=command_id)


BEGIN = begin()
LOST = c.RecordLost(token=1, what="machine", reason="QEMU was killed")
DELETING = c.RecordDeleting(requested_by="ann", reason="enough")
DELETED = c.RecordDeleted(removed=3)
FAILED = c.RecordFailed(step="create", cause="verdict", problems=(PROBLEM,), kept=False)


class Log:
    """A machine's stream: each command is decided against it and appended, a second apart."""

    def __init__(self, *commands: c.VmCommand) -> None:
        self.events: list[e.VmEvent] = []
        for command in commands:
            self.do(command)

    def do(self, command: c.VmCommand) -> tuple[e.VmEvent, ...]:
        made = decide(fold(tuple(self.events)), command, now=NOON + timedelta(seconds=len(self.events)))
        self.events += made
        return made

    def names(self, command: c.VmCommand) -> list[str]:
        return [event.NAME.removeprefix("vm.").removesuffix(".v1") for event in self.do(command)]

    def refuses(self, command: c.VmCommand) -> str:
        with pytest.raises(Verdict) as caught:
            self.do(command)
        return caught.value.code

    @property
    def state(self) -> VmState:
        state = fold(tuple(self.events))
        assert state is not None
        return state


def running(*more: c.VmCommand) -> Log:
    return Log(REQUEST, placed(), CREATED, started(), ready(), *more)


def test_a_machine_comes_up_step_by_step() -> None:
    log = Log(REQUEST)
    assert log.state.status == "pending"
    log.do(placed())
    assert log.state.status == "starting"
    log.do(CREATED)
    log.do(started())
    assert (log.state.status, log.state.ready) == ("running", False)
    log.do(ready())
    assert (log.state.ready, log.state.via, log.state.host) == (True, "agent", "one")


def test_a_life_ends_so_long_after_its_request() -> None:
    assert Log(REQUEST).state.expires_at is None
    short = Log(c.RequestVm(request=request(ttl=3600)))
    assert short.state.expires_at == NOON + timedelta(hours=1)


@pytest.mark.parametrize("command", [REQUEST, placed(), CREATED, started(), ready()])
def test_every_step_happens_once_however_often_it_is_told(command: c.VmCommand) -> None:
    assert running().names(command) == []


def test_another_request_with_the_same_id_is_refused() -> None:
    assert Log(REQUEST).refuses(c.RequestVm(request=request(memory=4096))) == "request_key.reused"


def test_nothing_happens_to_a_machine_that_was_never_requested() -> None:
    for command in (placed(), accept("start"), DELETED, LOST):
        assert Log().refuses(command) == "vm.not_found"


def test_what_comes_late_from_an_earlier_lease_or_start_adds_nothing() -> None:
    log = running(stopped(), placed(2), started(boot=2, token=2))
    for command in (placed(1), started(boot=1), ready(boot=1), stopped(boot=1), LOST, CREATED):
        assert log.names(command) == []
    assert log.names(ready(boot=2, token=2)) == ["ready"]


def test_a_command_shows_from_its_acceptance_to_its_end() -> None:
    log = running()
    assert log.names(accept("stop")) == ["command_accepted"]
    assert [order.status for order in log.state.orders] == ["waiting"]
    assert log.names(BEGIN) == ["command_started"]
    assert log.state.status == "stopping"
    assert log.names(stopped(command_id="c1")) == ["stopped"]
    assert ([order.status for order in log.state.orders], log.state.open_orders) == (["done"], ())
    assert (log.state.status, log.state.addresses) == ("stopped", ())


def test_a_repeated_command_is_accepted_once() -> None:
    log = running()
    log.do(accept("stop"))
    assert log.names(accept("stop")) == []


def test_a_command_that_fails_leaves_the_machine_as_it_was() -> None:
    log = running(accept("stop"), BEGIN)
    failure = c.EndOrder(command_id="c1", cause="fault", problems=(PROBLEM,))
    assert log.names(failure) == ["command_ended"]
    assert (log.state.status, log.state.orders[0].status, log.state.orders[0].problems) == (
        "running",
        "failed",
        (PROBLEM,),
    )
    assert log.names(failure) == []


def test_a_fact_that_was_there_before_its_command_still_ends_it() -> None:
    log = running(stopped(), accept("stop"), BEGIN)
    assert log.names(stopped(command_id="c1")) == ["command_ended"]


@pytest.mark.parametrize("order", ["restart", "snapshot", "restore", "drop_snapshot"])
def test_what_needs_a_machine_that_is_there_is_refused_before(order: OrderKind) -> None:
    assert Log(REQUEST).refuses(accept(order)) == "vm.wrong_state"
    assert Log(REQUEST, FAILED).refuses(accept(order)) == "vm.wrong_state"


@pytest.mark.parametrize("order", ["run_command", "screenshot", "open_forward"])
def test_a_guest_is_asked_only_while_it_runs(order: OrderKind) -> None:
    assert running().names(accept(order)) == ["command_accepted"]
    assert running(stopped()).refuses(accept(order)) == "vm.wrong_state"


def test_only_snapshots_that_there_are_can_be_gone_back_to() -> None:
    log = running(snapshot())
    assert log.names(accept("restore", snapshot_id="s1")) == ["command_accepted"]
    assert log.refuses(accept("restore", "c2", snapshot_id="s2")) == "snapshot.not_found"
    log.do(c.RecordDropped(snapshot_id="s1"))
    assert log.refuses(accept("restore", "c3", snapshot_id="s1")) == "snapshot.not_found"


def test_a_snapshot_that_is_being_taken_may_be_meant() -> None:
    log = running(accept("snapshot"))
    assert log.names(accept("restore", "c2", snapshot_id="s1")) == ["command_accepted"]


def test_a_machine_has_no_more_snapshots_than_its_plan_allows_taken_or_asked_for() -> None:
    log = Log(c.RequestVm(request=request(plan="guest")), placed(), CREATED, started())
    log.do(snapshot("s1"))
    second, third = (accept("snapshot", name).model_copy(update={"most_snapshots": 2}) for name in ("c2", "c3"))
    log.do(second)
    with pytest.raises(Verdict, match=r"snapshot\.quota") as caught:
        log.do(third)
    assert "guest allows 2 snapshots of a machine, and there are 2" in caught.value.problems[0].message
    assert log.names(second) == []
    log.do(snapshot("s2", "c2"))
    log.do(c.RecordDropped(snapshot_id="s1"))
    assert log.names(third) == ["command_accepted"]


def test_a_machine_that_is_restored_running_has_the_forwards_that_were_opened_then() -> None:
    log = running(snapshot(), accept("restore", snapshot_id="s1"), BEGIN)
    again = PortForward(guest_port=80, host_port=40001)
    log.do(c.RecordRestored(snapshot_id="s1", running=True, seconds=1.0, forwards=(again,), command_id="c1"))
    assert (log.state.status, log.state.forwards) == ("running", (again,))


def test_a_restored_machine_is_as_its_snapshot_says() -> None:
    log = running(snapshot(), accept("restore", snapshot_id="s1"), BEGIN)
    log.do(c.RecordRestored(snapshot_id="s1", running=False, seconds=1.0, command_id="c1"))
    assert (log.state.status, log.state.ready, log.state.open_orders) == ("stopped", False, ())


def test_a_lost_machine_fails_what_was_being_done() -> None:
    log = running(accept("snapshot"), BEGIN, accept("stop", "c2"))
    log.do(LOST)
    assert [order.status for order in log.state.orders] == ["failed", "waiting"]
    assert (log.state.status, log.state.reason, log.state.ready) == ("lost", "QEMU was killed", False)


def test_a_failed_machine_that_left_nothing_is_bound_to_no_host() -> None:
    assert Log(REQUEST, placed(), FAILED).state.host is None
    kept = FAILED.model_copy(update={"kept": True})
    assert Log(REQUEST, placed(), CREATED, kept).state.host == "one"


def test_the_warning_is_given_once_for_each_end() -> None:
    log = Log(c.RequestVm(request=request(ttl=3600)))
    at = log.state.expires_at
    assert at is not None
    assert log.names(c.RecordExpiring(expires_at=at)) == ["expiring"]
    assert log.names(c.RecordExpiring(expires_at=at)) == []
    log.do(c.RecordExtended(expires_at=at + timedelta(hours=1), requested_by="ann"))
    assert not log.state.warned
    assert log.names(c.RecordExpiring(expires_at=at)) == []


def test_a_forward_is_there_until_the_machine_is_off() -> None:
    log = running(c.RecordForward(forward=PortForward(guest_port=80, host_port=4000)))
    assert [forward.host_port for forward in log.state.forwards] == [4000]
    log.do(stopped())
    assert log.state.forwards == ()


def test_while_a_machine_is_deleted_nothing_else_happens_to_it() -> None:
    log = running(accept("delete"), DELETING)
    for command in (ready(), stopped(), started(boot=2), LOST, accept("delete", "c2"), DELETING):
        assert log.names(command) == []
    assert log.refuses(accept("start", "c3")) == "vm.deleted"
    assert log.names(DELETED) == ["deleted"]
    assert (log.state.status, log.state.orders[0].status) == ("deleted", "done")
    assert log.names(DELETED) == []
    assert log.refuses(REQUEST) == "vm.deleted"


tokens = st.integers(min_value=1, max_value=3)
boots = st.integers(min_value=1, max_value=3)
ids = st.sampled_from(["c1", "c2", "c3"])
kinds = st.sampled_from(["start", "stop", "restart", "snapshot", "restore", "delete", "run_command"])
anything = st.one_of(
    st.just(REQUEST),
    st.builds(placed, tokens),
    st.just(CREATED),
    st.builds(started, boots, tokens, st.one_of(st.none(), ids)),
    st.builds(ready, boots, tokens),
    st.builds(stopped, boots, tokens, st.one_of(st.none(), ids)),
    st.builds(accept, kinds, ids, st.sampled_from(["s1", "s2"])),
    st.builds(begin, ids),
    st.builds(end, ids),
    st.builds(snapshot, st.sampled_from(["s1", "s2"]), st.one_of(st.none(), ids)),
    st.sampled_from([LOST, FAILED, DELETING, DELETED]),
)


def _decided(sequence: list[c.VmCommand]) -> Log:
    log = Log(REQUEST)
    for command in sequence:
        try:
            log.do(command)
        except Verdict:
            continue
    return log


@given(st.lists(anything, max_size=40))
def test_whatever_is_told_a_machine_is_deleted_at_most_once_and_nothing_follows(sequence: list[c.VmCommand]) -> None:
    log = _decided(sequence)
    ends = [i for i, event in enumerate(log.events) if isinstance(event, e.VmDeleted)]
    assert ends in ([], [len(log.events) - 1])
    assert log.state.version == len(log.events)
    assert log.state.vm_id == VM_ID


@given(st.lists(anything, max_size=40), anything)
def test_whatever_was_told_the_last_command_again_adds_nothing(sequence: list[c.VmCommand], last: c.VmCommand) -> None:
    log = _decided(sequence)
    try:
        log.do(last)
    except Verdict:
        return
    assert log.names(last) == []


@given(st.lists(anything, max_size=40))
def test_a_machine_that_is_ready_runs(sequence: list[c.VmCommand]) -> None:
    state = _decided(sequence).state
    assert not state.ready or state.settled == "running"
    assert all(order.open for order in state.orders[:-10])
