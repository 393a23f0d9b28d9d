"""Checking a VM, and the steps of a case."""

from itertools import pairwise
from typing import Any

import pytest
from pydantic import TypeAdapter

from activities.verification.check import Answer
from activities.verification.ports import Guest
from activities.verification.runner import CheckRunner
from activities.verification.vm_checks import VmChecker
from activities.verification.vm_models import CheckVm, RunStep, StepDone, VmChecked
from activities.vm_ref import VmRef
from domain.errors import Verdict
from domain.suite.schema import Step
from tests.fakes.objects import FakeObjectStore
from tests.unit.verification.guests import Done, Lines, Reply, ScriptedGuest, healthy
from tests.unit.verification.test_verifier import Clock

VM = VmRef(vm_id="v1", org_id="o1", token=3)
STEP: TypeAdapter[Step] = TypeAdapter(Step)
RECIPE = {"name": "web", "baseImage": "debian-bookworm", "users": [{"username": "ann"}]}


class OneVm:
    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.asked: list[VmRef] = []

    async def vm_guest(self, vm: VmRef) -> Guest:
        self.asked.append(vm)
        return self._guest


def checker(guest: Guest, objects: FakeObjectStore | None = None) -> VmChecker:
    clock = Clock()
    return VmChecker(OneVm(guest), objects or FakeObjectStore(), CheckRunner(clock, clock.pause))


async def checked(reply: Reply, **request: Any) -> tuple[VmChecked, ScriptedGuest]:
    guest = ScriptedGuest(reply)
    asked = CheckVm.model_validate({"vm": VM, "run_id": "r1", "label": "server", **request})
    return await checker(guest).check(asked, Lines()), guest


async def stepped(guest: Guest, objects: FakeObjectStore | None = None, **step: object) -> StepDone:
    request = RunStep(vm=VM, run_id="r1", label="server-2", suite="case", step=STEP.validate_python(step))
    return await checker(guest, objects).step(request, Lines())


def claim(kind: str, **rest: object) -> dict[str, Any]:
    return {"suite": "case", "assertion": {"type": kind, **rest}}


async def test_the_default_suites_come_first_and_wait_for_the_start() -> None:
    found, guest = await checked(
        healthy,
        defaults=["boot", "login", "packages", "network", "services"],
        recipe=RECIPE,
        checks=[claim("port_listening", params={"port": 22})],
    )
    suites = list(dict.fromkeys(result.suite for result in found.results))
    assert suites == ["boot", "login", "packages", "network", "case"]
    assert len(guest.rounds[0]) == 1
    assert all(result.passed for result in found.results)


async def test_without_a_recipe_nothing_is_said_of_what_only_it_could_tell() -> None:
    found, _ = await checked(healthy, defaults=["boot", "login", "packages", "network", "services"])
    assert {result.suite for result in found.results} == {"boot", "network"}


async def test_claims_alone_take_one_round_trip() -> None:
    claims = [claim("file_exists", params={"path": f"/f{i}"}) for i in range(30)]
    found, guest = await checked(lambda _: Answer(status=0, out="644|root|0|root|0|regular file\n"), checks=claims)
    assert len(guest.rounds) == 1
    assert len(found.results) == 30


async def test_an_opposite_is_reported_as_such() -> None:
    found, _ = await checked(
        lambda _: Answer(status=0), checks=[claim("port_listening", params={"port": 23}, **{"not": True})]
    )
    (result,) = found.results
    assert (result.passed, result.negated) == (True, True)
    assert result.description == "nothing listens on any address, port 23/tcp"


@pytest.mark.parametrize(("within", "passed"), [(9, True), (3, False)])
async def test_a_deadline_is_kept_for_what_would_be_asked_once(within: int, passed: bool) -> None:
    tries = 0

    def reply(argv: tuple[str, ...]) -> Answer:
        nonlocal tries
        tries += 1
        return Answer(status=0, out="installed 1\n") if tries > 5 else Answer(status=1)

    found, _ = await checked(reply, checks=[claim("package_installed", params={"package": "nginx"}, within=within)])
    assert found.results[0].passed is passed


async def test_many_long_answers_fit_into_one_message() -> None:
    claims = [claim("file_exists", params={"path": f"/f{i}"}) for i in range(1000)]
    found, _ = await checked(lambda _: Answer(status=1, err="x" * 2000), checks=claims, settle=0)
    assert len(found.model_dump_json()) < 2_000_000


async def test_a_step_may_be_a_claim_in_the_words_of_its_author() -> None:
    done = await stepped(
        ScriptedGuest(healthy),
        action="assert",
        description="SSH is up",
        assertion={"type": "port_listening", "params": {"port": 22}},
    )
    assert (done.result.passed, done.result.suite, done.result.description) == (True, "case", "SSH is up")


async def test_waiting_for_a_claim_ends_with_its_time() -> None:
    guest = ScriptedGuest(lambda _: Answer(status=0))
    done = await stepped(guest, action="wait", within=7, until={"type": "port_listening", "params": {"port": 22}})
    assert not done.result.passed
    assert len(guest.rounds) == 8


class Restarting:
    """A VM whose guest cannot be reached the first times, as while it restarts."""

    def __init__(self, guest: Guest, times: int, code: str = "guest.unreachable") -> None:
        self._guest, self._times, self._code = guest, times, code

    async def vm_guest(self, vm: VmRef) -> Guest:
        self._times -= 1
        if self._times >= 0:
            raise Verdict.because(self._code, "it does not answer")
        return self._guest


def restarting(times: int, code: str = "guest.unreachable") -> VmChecker:
    clock = Clock()
    guest = ScriptedGuest(lambda _: Answer(status=0, out="644|root|0|root|0|regular file\n"))
    return VmChecker(Restarting(guest, times, code), FakeObjectStore(), CheckRunner(clock, clock.pause))


FILE = {"type": "file_exists", "params": {"path": "/f"}}
WAIT = {"action": "wait", "within": 20, "until": FILE}
CLAIM = {"action": "assert", "assertion": {**FILE, "within": 20}}


@pytest.mark.parametrize("step", [WAIT, CLAIM])
async def test_a_guest_that_restarts_is_waited_for_until_the_deadline(step: dict[str, Any]) -> None:
    request = RunStep(vm=VM, run_id="r1", label="l", suite="case", step=STEP.validate_python(step))
    assert (await restarting(10).step(request, Lines())).result.passed
    with pytest.raises(Verdict, match=r"guest\.unreachable"):
        await restarting(40).step(request, Lines())
    with pytest.raises(Verdict, match=r"guest\.panicked"):
        await restarting(1, "guest.panicked").step(request, Lines())
    asked = CheckVm.model_validate(
        {"vm": VM, "run_id": "r1", "label": "l", "checks": [claim("file_exists", params={"path": "/f"}, within=20)]}
    )
    assert (await restarting(10).check(asked, Lines())).results[0].passed


async def test_what_has_no_deadline_is_not_waited_for() -> None:
    asked = CheckVm.model_validate(
        {"vm": VM, "run_id": "r1", "label": "l", "checks": [claim("file_exists", params={"path": "/f"})]}
    )
    with pytest.raises(Verdict, match=r"guest\.unreachable"):
        await restarting(1).check(asked, Lines())


async def test_a_command_is_judged_by_status_and_output() -> None:
    guest = ScriptedGuest(lambda _: Answer(status=0, out="status 2\nmatches no\n\nboom\n"))
    done = await stepped(guest, action="command", argv=["/opt/check", "--all"], matches="ok$")
    assert not done.result.passed
    assert done.result.found == "exit status 2, no match: boom"
    assert done.result.command == "/opt/check --all"
    assert guest.asked[0][-2:] == ("/opt/check", "--all")


async def test_a_command_is_marked_in_the_guest_by_run_and_step_and_a_claim_is_not() -> None:
    guest = ScriptedGuest(lambda _: Answer(status=0, out="status 0\n\n"))
    await stepped(guest, action="command", command="make-orders")
    await stepped(guest, action="assert", assertion={"type": "command_succeeds", "params": {"command": "true"}})
    assert [("once.sh", "r1.server-2") in pairwise(argv) for argv in guest.asked] == [True, False]


class Files:
    """A guest that answers what its programs are asked, by their names."""

    def __init__(self, **answers: Done) -> None:
        self._answers = answers
        self.stdin = b""

    async def run(self, argv: tuple[str, ...], *, timeout: float, stdin: bytes = b"") -> Done:  # noqa: ASYNC109
        self.stdin = stdin or self.stdin
        return next(answer for name, answer in self._answers.items() if name in argv)


async def test_a_file_is_written_whole() -> None:
    guest = Files(put=Done(status=0, stdout=b"5\n"))
    done = await stepped(guest, action="put_file", path="/etc/motd", text="grüß"[:3] + "e")
    assert guest.stdin == b"gr\xc3\xbce"
    assert done.result.passed


async def test_a_file_that_could_not_be_written_is_the_guest_s_failure() -> None:
    guest = Files(put=Done(status=1, stdout=b"", stderr=b"mktemp: \x1b[31mRead-only file system\n"))
    done = await stepped(guest, action="put_file", path="/etc/motd", text="x")
    assert (done.result.passed, done.result.found) == (False, "mktemp: Read-only file system")


async def test_a_fetched_file_is_kept_under_a_plain_name() -> None:
    objects = FakeObjectStore()
    guest = Files(stat=Done(status=0, stdout=b"regular file|5\n"), dd=Done(status=0, stdout=b"hello"))
    done = await stepped(guest, objects, action="get_file", path="/var/log/../a b")
    assert done.keys == ("artifacts/r1/server-2/var_log_.._a_b",)
    assert await objects.get(done.keys[0]) == b"hello"
    assert done.result.found.startswith("5 bytes, SHA-256 2cf24dba")


@pytest.mark.parametrize(
    ("look", "found"),
    [
        (Done(status=1, stdout=b"", stderr=b"stat: no such file"), "no such file"),
        (Done(status=0, stdout=b"directory|4096\n"), "a directory, no file"),
        (Done(status=0, stdout=b"regular file|99999999\n"), "too much"),
    ],
)
async def test_a_file_that_cannot_be_fetched_is_said_so(look: Done, found: str) -> None:
    done = await stepped(Files(stat=look), action="get_file", path="/x")
    assert (done.result.passed, done.keys) == (False, ())
    assert found in done.result.found


async def test_a_silent_guest_is_no_result() -> None:
    def reply(argv: tuple[str, ...]) -> Answer:
        raise Verdict.because("guest.agent_silent", "the agent stopped answering")

    with pytest.raises(Verdict, match=r"guest\.agent_silent"):
        await checked(reply, checks=[claim("no_failed_units")])
