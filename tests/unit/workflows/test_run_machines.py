"""What a test run makes of what its machines tell."""

from domain.errors import Problem
from domain.test_run.inputs import RunMachine, RunPlan, RunRequest, RunTarget
from domain.vm.spec import ImageRef
from domain.vm.state import VmStatus
from workflows.test_run_machines import RunMachines
from workflows.vm_models import VmBrief

RUN = "11111111-1111-4111-8111-111111111111"
IMAGE = ImageRef(digest="ab" * 32, bytes=1, format="qcow2", source="build", source_id="b")
MACHINE = RunMachine(slot="primary", image=IMAGE)


def machines() -> RunMachines:
    plan = RunPlan(kind="suite", name="s", target=RunTarget(kind="suite", id="s"), machines=(MACHINE,), cases=())
    return RunMachines(RunRequest(run_id=RUN, org_id="o", requested_by="me", input_digest="d", plan=plan))


def brief(status: VmStatus, *problems: Problem, version: int = 1, ready: bool = False) -> VmBrief:
    vm_id = machines().vm_id("primary")
    return VmBrief(vm_id=vm_id, status=status, ready=ready, version=version, queue="q", token=4, problems=problems)


def judged(*briefs: VmBrief) -> tuple[str, str] | None:
    made = machines()
    for told in briefs:
        made.heard(told)
    detail = made.broken()
    return None if detail is None else (detail.kind, detail.problems[0].code)


PANIC = Problem(code="guest.panicked", message="the kernel panicked")
TOO_LARGE = Problem(code="host.memory", message="no host has so much memory")
NO_DISK = Problem(code="host.disk", message="the host's disk is full", retryable=True)


def test_a_machine_that_works_is_no_reason_to_stop() -> None:
    assert judged() is None
    assert judged(brief("starting")) is None
    assert judged(brief("running", ready=True)) is None


def test_a_guest_that_does_not_come_up_is_wrong() -> None:
    assert judged(brief("running", PANIC)) == ("verdict", "guest.panicked")
    assert judged(brief("failed", PANIC)) == ("verdict", "guest.panicked")


def test_a_machine_that_the_factory_cannot_make_or_loses_is_its_fault() -> None:
    assert judged(brief("failed", NO_DISK)) == ("fault", "host.disk")
    assert judged(brief("failed", TOO_LARGE)) == ("fault", "host.memory")
    assert judged(brief("lost")) == ("fault", "machine.lost")
    assert judged(brief("lost", PANIC)) == ("fault", "guest.panicked")
    assert judged(brief("deleted")) == ("fault", "vm.gone")


def test_news_that_come_late_change_nothing() -> None:
    assert judged(brief("running", version=5, ready=True), brief("lost", version=4)) is None


def test_no_room_is_the_factorys_fault_and_silence_the_guests() -> None:
    made = machines()
    detail = made.too_late([MACHINE])
    assert (detail.kind, detail.problems[0].code) == ("fault", "host.no_room")
    made.heard(brief("running"))
    detail = made.too_late([MACHINE])
    assert (detail.kind, detail.problems[0].code) == ("verdict", "boot.timeout")


def test_a_machine_is_reached_through_the_host_it_is_on_now() -> None:
    made = machines()
    assert made.reach("primary")[0] == ""
    made.heard(brief("running", ready=True))
    queue, ref = made.reach("primary")
    assert (queue, ref.token, ref.vm_id) == ("q", 4, made.vm_id("primary"))
