"""Which tests a machine is due, and what becomes of what they find."""

from typing import Any

import pytest

from activities.job import Job
from activities.verification.check import TIMED_OUT, Answer, Probe
from activities.verification.driver import ask
from activities.verification.models import VerifyInput
from activities.verification.runner import CheckRunner
from activities.verification.verifier import GuestVerifier
from domain.errors import Verdict
from domain.recipe.parse import parse_recipe
from domain.verification import BootReport, VerificationReport
from tests.unit.verification.guests import Done, Lines, OneGuest, Reply, ScriptedGuest, healthy

BOOT = "boot.multi_user"


class Clock:
    """Time passes only while somebody pauses."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.now += seconds


async def verified(
    reply: Reply, artifact: str = "qcow2", **recipe: object
) -> tuple[VerificationReport, ScriptedGuest, Lines]:
    guest, log, clock = ScriptedGuest(reply), Lines(), Clock()
    document = parse_recipe({"name": "web", "baseImage": "debian-bookworm", **recipe}).model_dump(mode="json")
    up = BootReport.model_validate(
        {"artifact": artifact, "firmware": "uefi", "accelerator": "tcg", "booted": True, "seconds": 21.5}
    )
    request = VerifyInput(job=Job(job_id="j1", org_id="o1"), recipe=document, boots=(up,))
    result = await GuestVerifier(OneGuest(guest), CheckRunner(clock, clock.pause)).verify(request, log)
    return result.reports[0], guest, log


def claim(kind: str, **params: object) -> dict[str, Any]:
    return {"tests": [{"description": "mine", "assertions": [{"type": kind, "params": params}]}]}


def failed(report: VerificationReport) -> dict[str, str]:
    return {result.type: result.found for result in report.results if not result.passed}


async def test_the_disk_image_gets_the_default_tests_and_the_recipe_s_own() -> None:
    report, _, log = await verified(
        healthy, users=[{"username": "ann"}], services=[{"name": "ssh"}], **claim("port_listening", port=22)
    )
    assert failed(report) == {}
    suites = list(dict.fromkeys(result.suite for result in report.results))
    assert suites == ["boot", "login", "packages", "network", "services", "mine"]
    assert (report.artifact, report.firmware, report.boot_seconds) == ("qcow2", "uefi", 21.5)
    assert log.percents[-1] == 100


async def test_the_iso_gets_boot_and_login() -> None:
    report, _, _ = await verified(
        healthy, "iso", users=[{"username": "ann"}], services=[{"name": "ssh"}], **claim("port_listening", port=22)
    )
    assert {result.suite for result in report.results} == {"boot", "login"}


async def test_nothing_is_asked_before_the_start_is_over() -> None:
    _, guest, _ = await verified(healthy)
    assert len(guest.rounds[0]) == 1
    assert "is-system-running" in " ".join(guest.rounds[0][0])


async def test_many_questions_take_few_round_trips() -> None:
    report, guest, _ = await verified(healthy, users=[{"username": f"ann{i}"} for i in range(20)])
    assert len(report.results) > 64
    assert len(guest.rounds) == 3  # the start, and two batches


async def test_every_failed_unit_is_named_with_its_last_words() -> None:
    def reply(argv: tuple[str, ...]) -> Answer:
        if "failed_units.sh" in argv:
            return Answer(status=0, out="setup.service\n  line one\n  exit 3\nother.service\n")
        return healthy(argv)

    report, _, _ = await verified(reply)
    found = failed(report)["boot.no_failed_units"]
    assert found.startswith("setup.service, other.service\n")
    assert "exit 3" in found


async def test_a_start_that_does_not_end_says_what_it_waits_for() -> None:
    def reply(argv: tuple[str, ...]) -> Answer:
        if "started.sh" in argv:
            return Answer(status=124, out="starting\ninactive\n12 setup.service start running\n")
        return healthy(argv)

    found = failed((await verified(reply))[0])[BOOT]
    assert "starting" in found
    assert "setup.service" in found


@pytest.mark.parametrize(
    ("program", "answer", "kind"),
    [
        ("dmesg", Answer(status=0, out="[1.0] Kernel panic - not syncing\n"), "boot.no_panic"),
        ("uname", Answer(status=1, out="Linux 6.1\n"), "boot.kernel"),
        ("--audit", Answer(status=0, out="half installed: x\n"), "packages.audit"),
        ("check", Answer(status=100, err="E: Unmet dependencies\n"), "packages.apt"),
        ("missing.pl", Answer(status=0), ""),
        ("address", Answer(status=0, out="[]"), "network.address"),
        ("gateway.sh", Answer(status=1, out="no default gateway\n"), "network.gateway"),
        ("nameservers.sh", Answer(status=1), "network.nameserver"),
    ],
)
async def test_each_default_test_can_fail_alone(program: str, answer: Answer, kind: str) -> None:
    def reply(argv: tuple[str, ...]) -> Answer:
        return answer if program in " ".join(argv) and "is-system-running" not in " ".join(argv) else healthy(argv)

    assert set(failed((await verified(reply))[0])) == ({kind} if kind else set())


async def test_a_package_that_is_missing_is_named() -> None:
    def reply(argv: tuple[str, ...]) -> Answer:
        return Answer(status=0, out="nginx\n") if "nginx" in argv else healthy(argv)

    assert failed((await verified(reply, packages=["nginx"]))[0]) == {"packages.requested": "not installed: nginx"}


async def test_a_service_that_the_recipe_disables_must_be_disabled() -> None:
    assert set(failed((await verified(healthy, services=[{"name": "cron", "enabled": False}]))[0])) == {
        "services.disabled"
    }


async def test_a_user_without_a_login_shell_is_not_logged_in() -> None:
    report, guest, _ = await verified(healthy, users=[{"username": "ann", "shell": "/usr/sbin/nologin"}])
    assert "login.session" not in {result.type for result in report.results}
    assert not any(argv[0] == "su" for argv in guest.asked)


async def test_ssh_is_the_way_in_where_it_runs_and_su_where_not() -> None:
    users = [{"username": "ann"}]
    _, with_ssh, _ = await verified(healthy, users=users, services=[{"name": "ssh", "config": {"port": 2222}}])
    assert any(argv[-2:] == ("ann", "2222") for argv in with_ssh.asked)
    _, without, _ = await verified(healthy, users=users, services=[{"name": "ssh", "enabled": False}])
    assert any(argv == ("su", "-l", "ann", "-c", "id -un") for argv in without.asked)


async def test_a_server_that_opens_its_port_late_is_waited_for() -> None:
    tries = 0

    def reply(argv: tuple[str, ...]) -> Answer:
        nonlocal tries
        if argv[0] == "ss":
            tries += 1
            return healthy(argv) if tries == 5 else Answer(status=0)
        return healthy(argv)

    report, guest, _ = await verified(reply, **claim("port_listening", port=22))
    assert failed(report) == {}
    assert [argv[0] for argv in guest.rounds[-1]] == ["ss"]  # only what was wrong is asked again


async def test_a_port_that_never_opens_is_wrong_in_the_end() -> None:
    def reply(argv: tuple[str, ...]) -> Answer:
        return Answer(status=0) if argv[0] == "ss" else healthy(argv)

    assert failed((await verified(reply, **claim("port_listening", port=22)))[0]) == {
        "port_listening": "nothing listens"
    }


async def test_what_cannot_change_is_asked_once() -> None:
    def reply(argv: tuple[str, ...]) -> Answer:
        return Answer(status=1) if argv[0] == "dpkg-query" else healthy(argv)

    _, guest, _ = await verified(reply, **claim("package_installed", package="nginx"))
    assert sum(argv[0] == "dpkg-query" for argv in guest.asked) == 1


async def test_what_the_guest_says_cannot_steer_a_terminal() -> None:
    def reply(argv: tuple[str, ...]) -> Answer:
        return Answer(status=1, err="\x1b[2J\u202eevil\n") if argv[0] == "stat" else healthy(argv)

    assert failed((await verified(reply, **claim("file_exists", path="/x")))[0]) == {"file_exists": "evil"}


async def test_each_result_says_what_was_run() -> None:
    report, _, _ = await verified(healthy, services=[{"name": "ssh"}], users=[{"username": "ann"}])
    commands = {result.type: result.command for result in report.results}
    assert commands["login.session"] == "ssh -p 22 ann@127.0.0.1 id -un"
    assert all(commands.values())
    assert all(len(command) < 300 for command in commands.values())


async def test_a_silent_agent_is_a_verdict_and_no_result() -> None:
    def reply(argv: tuple[str, ...]) -> Answer:
        raise Verdict.because("guest.agent_silent", "the agent stopped answering")

    with pytest.raises(Verdict, match=r"guest\.agent_silent"):
        await verified(reply)


class _Broken:
    def __init__(self, done: Done) -> None:
        self._done = done

    async def run(self, argv: tuple[str, ...], *, timeout: float, stdin: bytes = b"") -> Done:  # noqa: ASYNC109
        return self._done


@pytest.mark.parametrize(
    "done",
    [
        Done(status=127, stdout=b"", stderr=b"no such program\n"),
        Done(status=70, stdout=b"", stderr=b"mktemp: read-only file system\n"),
        Done(status=0, stdout=b""),
        Done(status=0, stdout=b"0 1 o: e:\n0 1 o: e:\n"),
        Done(status=0, stdout=b"garbage\n"),
        Done(status=0, stdout=b"0 1 o:%%% e:\n"),
    ],
)
async def test_a_guest_that_cannot_even_be_asked_is_a_verdict(done: Done) -> None:
    with pytest.raises(Verdict, match=r"guest\.unusable"):
        await ask(_Broken(done), [Probe(argv=("true",))])


class _Alone:
    """A guest that runs programs as they are, and the driver with the status that the last of its answers has."""

    def __init__(self, *answers: Done | Verdict) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def run(self, argv: tuple[str, ...], *, timeout: float, stdin: bytes = b"") -> Done:  # noqa: ASYNC109
        self.asked.append("driver" if stdin else " ".join(argv[-2:]))
        answer = self._answers.pop(0)
        if isinstance(answer, Verdict):
            raise answer
        return answer


PLAIN = Probe(argv=("cat", "/etc/hostname"), plain=True)


async def test_one_plain_question_is_asked_without_the_driver() -> None:
    guest = _Alone(Done(status=1, stdout=b"x" * 9000, stderr=b"y" * 3000))
    (answer,) = await ask(guest, [PLAIN])
    assert (answer.status, len(answer.out), len(answer.err)) == (1, 8192, 2048)
    assert guest.asked == ["cat /etc/hostname"]


async def test_a_plain_question_that_does_not_end_is_out_of_time() -> None:
    (answer,) = await ask(_Alone(Verdict.because("guest.timeout", "cat did not end")), [PLAIN])
    assert answer.status == TIMED_OUT


async def test_a_plain_question_to_a_silent_guest_is_a_verdict() -> None:
    with pytest.raises(Verdict, match=r"guest\.agent_silent"):
        await ask(_Alone(Verdict.because("guest.agent_silent", "no answer")), [PLAIN])


@pytest.mark.parametrize("status", [126, 127])
async def test_what_cannot_be_run_as_it_is_goes_by_the_driver(status: int) -> None:
    guest = _Alone(
        Done(status=status, stdout=b"", stderr=b"nice: not found"), Done(status=0, stdout=b"0 1 o:aGk= e:\n")
    )
    (answer,) = await ask(guest, [PLAIN])
    assert (answer.status, answer.out, guest.asked[1]) == (0, "hi", "driver")


async def test_several_questions_and_those_that_need_looking_after_go_by_the_driver() -> None:
    line = b"0 1 o: e:\n"
    for probes in ([PLAIN, PLAIN], [PLAIN.model_copy(update={"plain": False})]):
        guest = _Alone(Done(status=0, stdout=line * len(probes)))
        await ask(guest, probes)
        assert guest.asked == ["driver"]
