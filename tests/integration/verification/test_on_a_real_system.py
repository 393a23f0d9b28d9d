"""The programs of the verification on a real Debian with systemd, an SSH server and a web server."""

import asyncio
import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from activities.job import Job
from activities.verification.check import Probe
from activities.verification.driver import ask
from activities.verification.files import put
from activities.verification.models import VerifyInput
from activities.verification.programs import once
from activities.verification.runner import CheckRunner
from activities.verification.verifier import GuestVerifier
from domain.recipe.parse import parse_recipe
from domain.suite.schema import PutFileStep
from domain.verification import AssertionResult, BootReport
from tests.integration.verification.debian_system import DebianSystem, debian_system, network
from tests.unit.verification.guests import Lines

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),  # the first run makes the tree
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a system in namespaces"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed"),
]
PARAMETER = next(word.partition("=")[0] for word in Path("/proc/cmdline").read_text().split() if word[0].isalpha())
CERTIFICATE = """
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test -days 1 -keyout /etc/nginx/k.pem -out /etc/nginx/c.pem
printf 'server { listen 8443 ssl; ssl_certificate c.pem; ssl_certificate_key k.pem;
  location / { return 200 "over tls"; } }
server { listen 127.0.0.1:8080;
  location /moved { return 301 /; } location /text { return 200 "$request_method it'"'"'s here"; } }
' > /etc/nginx/conf.d/test.conf
systemctl reload nginx
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[DebianSystem]:
    with debian_system(tmp_path_factory.mktemp("system")) as started, network(started):
        started.shell("useradd -m -s /bin/bash -G www-data ann; useradd -m -s /bin/sh bob; useradd -m eve")
        started.shell("install -d -m 0700 -o bob -g bob ~bob/.ssh; echo '# mine' > ~bob/.ssh/authorized_keys")
        started.shell("chown bob:bob ~bob/.ssh/authorized_keys; rm -r ~eve")
        started.shell(CERTIFICATE)
        started.shell("printf 'hallo\\ngr\\303\\274\\303\\237\\n' > /etc/greeting; mkdir '/run/a b'")
        started.shell("mount -t tmpfs -o size=64k none '/run/a b'")
        yield started


async def verified(system: DebianSystem, **recipe: object) -> dict[tuple[str, str], AssertionResult]:
    """Every result, by suite and type (of several alike the last)."""
    document = parse_recipe({"name": "web", "baseImage": "debian-bookworm", **recipe}).model_dump(mode="json")
    up = BootReport(artifact="qcow2", firmware="uefi", accelerator="kvm", booted=True, seconds=1.0)
    request = VerifyInput(job=Job(job_id="j1", org_id="o1"), recipe=document, boots=(up,))
    clock = iter(range(0, 10_000, 20))  # every look at the clock is 20 s later: one second try, no more
    result = await GuestVerifier(system, CheckRunner(lambda: float(next(clock)))).verify(request, Lines())
    return {(r.suite, r.type): r for r in result.reports[0].results}


async def claimed(system: DebianSystem, kind: str, **params: object) -> AssertionResult:
    tests = [{"description": "claim", "assertions": [{"type": kind, "params": params}]}]
    return (await verified(system, tests=tests))["claim", kind]


async def test_a_running_system_passes_the_default_tests(system: DebianSystem) -> None:
    found = await verified(system, services=[{"name": "ssh"}, {"name": "nginx"}], users=[{"username": "ann"}])
    wrong = {key: result.found for key, result in found.items() if not result.passed}
    # A system in namespaces has no kernel of its own, and the tree was made without one.
    assert set(wrong) == {("boot", "boot.kernel"), ("packages", "packages.requested")}
    assert "linux-image-amd64" in wrong["packages", "packages.requested"]
    assert found["network", "network.address"].found == "10.0.2.15"
    assert found["network", "network.gateway"].found == "10.0.2.2 answers"
    assert found["network", "network.nameserver"].found == "10.0.2.3"


async def test_a_failed_unit_is_named_with_the_last_lines_of_its_journal(system: DebianSystem) -> None:
    system.shell("systemd-run --unit=broken sh -c 'echo the disk is on fire; exit 3'")
    system.shell("for i in $(seq 100); do systemctl is-failed -q broken && exit 0; sleep 0.1; done; exit 1")
    try:
        result = (await verified(system))["boot", "boot.no_failed_units"]
    finally:
        system.shell("systemctl reset-failed")
    assert not result.passed
    assert result.found.startswith("broken.service")
    assert "the disk is on fire" in result.found


@pytest.mark.parametrize("user", ["ann", "bob"])
async def test_a_login_over_ssh_leaves_the_user_s_keys_as_they_were(system: DebianSystem, user: str) -> None:
    look = f"find ~{user}/.ssh -printf '%p %m %u\\n' 2>&1 || true; cat ~{user}/.ssh/* 2>&1 || true"
    before = system.shell(look)
    found = await verified(system, services=[{"name": "ssh"}], users=[{"username": user, "shell": "/bin/bash"}])
    result = found["login", "login.session"]
    assert (result.passed, result.found) == (True, user)
    assert system.shell(look) == before
    assert not system.shell("ls -d /run/openfactory* 2> /dev/null || true")


async def test_without_ssh_the_user_logs_in_by_su(system: DebianSystem) -> None:
    assert (await verified(system, users=[{"username": "ann"}]))["login", "login.session"].passed


async def test_a_user_who_lost_its_home_cannot_log_in(system: DebianSystem) -> None:
    found = await verified(system, services=[{"name": "ssh"}], users=[{"username": "eve", "shell": "/bin/sh"}])
    assert found["login", "login.home"].found == "the home /home/eve is not there"
    assert not found["login", "login.session"].passed


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("user_exists", {"username": "ann", "groups": ["www-data"], "shell": "/bin/bash", "home": "/home/ann"}),
        ("package_installed", {"package": "nginx", "version": "1.22"}),
        ("service_running", {"service": "nginx"}),
        ("service_enabled", {"service": "sshd"}),
        ("port_listening", {"port": 22}),
        ("port_listening", {"port": 8080, "address": "127.0.0.1"}),
        ("port_listening", {"port": 53, "protocol": "udp", "address": "127.0.0.53"}),
        ("file_exists", {"path": "/etc/shadow", "mode": "0640", "owner": "root", "group": "shadow"}),
        ("file_exists", {"path": "/etc"}),
        ("http_responds", {"url": "http://127.0.0.1/", "contains": "nginx"}),
        ("http_responds", {"url": "http://localhost:8080/text", "contains": "POST it's here", "method": "POST"}),
        ("http_responds", {"url": "http://127.0.0.1:8080/moved", "status": 301}),
        ("http_responds", {"url": "http://127.0.0.1:8080/none", "status": 404, "method": "HEAD"}),
        ("http_responds", {"url": "https://127.0.0.1:8443/", "contains": "over tls"}),
        ("group_exists", {"name": "www-data", "gid": 33}),
        ("process_running", {"name": "nginx", "user": "root", "count": 1}),
        ("process_running", {"name": "systemd-resolved"}),  # its comm is cut after 15 characters
        ("package_not_installed", {"package": "apache2"}),
        ("file_contains", {"path": "/etc/passwd", "contains": "root:x:0:0:", "matches": "^ann:.*bash$"}),
        ("file_contains", {"path": "/etc/greeting", "contains": "grüß", "matches": "^gr..$"}),
        ("command_succeeds", {"command": "test -d /etc && [ $(id -u) = 0 ]"}),
        ("command_succeeds", {"command": '[ "$(id -un)" = ann ]', "user": "ann"}),
        ("command_output", {"command": "echo one; echo two >&2", "contains": "two", "matches": "^one$"}),
        ("command_output", {"command": "echo ' a '; exit 3", "equals": "a", "status": 3}),
        ("command_output", {"command": "(sleep 100 &) ; echo started", "equals": "started", "timeout": 5}),
        ("kernel_parameter", {"name": PARAMETER}),
        ("mount_present", {"path": "/proc", "fstype": "proc", "source": "proc", "options": ["rw"]}),
        ("mount_present", {"path": "/run/a b", "fstype": "tmpfs", "options": ["size=64k"]}),
        ("sysctl_value", {"name": "net.ipv4.conf.lo.forwarding", "value": "0"}),
        ("sysctl_value", {"name": "net/ipv4/ip_local_port_range", "value": "32768 60999"}),
        ("dns_resolves", {"name": "localhost", "address": "127.0.0.1"}),
        ("ping_reaches", {"host": "127.0.0.1"}),
        ("ping_reaches", {"host": "::1"}),
        ("ping_reaches", {"host": "10.0.2.2"}),
        ("no_failed_units", {}),
    ],
)
async def test_a_true_claim_holds(system: DebianSystem, kind: str, params: dict[str, object]) -> None:
    result = await claimed(system, kind, **params)
    assert result.passed, result.found


@pytest.mark.parametrize(
    ("kind", "params", "found"),
    [
        ("user_exists", {"username": "nobody2"}, "no such user"),
        ("user_exists", {"username": "bob", "groups": ["www-data"]}, "not in www-data"),
        ("package_installed", {"package": "no-such-package"}, "not installed"),
        ("package_installed", {"package": "nginx", "version": "9"}, "version 1.22"),
        ("service_running", {"service": "no-such"}, "not-found"),
        ("service_enabled", {"service": "systemd-journald"}, "static"),
        ("port_listening", {"port": 81}, "nothing listens"),
        ("port_listening", {"port": 8080, "address": "10.0.2.15"}, "127.0.0.1"),
        ("file_exists", {"path": "/no/such"}, "no such file"),
        ("file_exists", {"path": "/etc/shadow", "mode": "0644"}, "mode 0640"),
        ("http_responds", {"url": "http://127.0.0.1:81/"}, "refused"),
        ("http_responds", {"url": "http://127.0.0.1/", "contains": "no such text"}, "without the text"),
        ("http_responds", {"url": "https://127.0.0.1:80/"}, "curl ended"),
        ("http_responds", {"url": "http://127.0.0.1:22/"}, "the answer is not HTTP"),
        ("group_exists", {"name": "nogroup2"}, "no such group"),
        ("group_exists", {"name": "www-data", "gid": 34}, "gid 33"),
        ("process_running", {"name": "no-such"}, "none"),
        ("process_running", {"name": "nginx", "user": "ann"}, "none"),
        ("process_running", {"name": "nginx", "user": "root", "count": 7}, "1: "),
        ("package_not_installed", {"package": "nginx"}, "version 1.22"),
        ("file_contains", {"path": "/etc/passwd", "contains": "no such text"}, "without the text"),
        ("file_contains", {"path": "/etc/passwd", "matches": "^ann$"}, "no match"),
        ("file_contains", {"path": "/no/such", "contains": "x"}, "no such file"),
        ("file_contains", {"path": "/etc", "contains": "x"}, "is a folder"),
        ("command_succeeds", {"command": "echo the disk is on fire >&2; exit 3"}, "exit status 3: the disk is on fire"),
        ("command_succeeds", {"command": "sleep 60", "timeout": 1}, "did not end in time"),
        ("command_succeeds", {"command": "true", "user": "nobody2"}, "there is no user nobody2"),
        ("command_output", {"command": "echo a", "equals": "b"}, "another text: a"),
        ("command_output", {"command": "no-such-program", "contains": "x"}, "exit status 127"),
        ("kernel_parameter", {"name": "no.such"}, "it is not there"),
        ("mount_present", {"path": "/etc"}, "nothing is mounted there"),
        ("mount_present", {"path": "/proc", "fstype": "tmpfs"}, "as proc"),
        ("sysctl_value", {"name": "net.ipv4.conf.lo.forwarding", "value": "1"}, "0"),
        ("sysctl_value", {"name": "no.such.thing", "value": "1"}, "no such setting"),
        ("dns_resolves", {"name": "no-such-host.invalid"}, "no address"),
        ("dns_resolves", {"name": "localhost", "address": "10.1.1.1"}, "127.0.0.1"),
        ("ping_reaches", {"host": "10.0.2.99", "timeout": 1}, "does not answer"),
        ("ping_reaches", {"host": "no-such-host.invalid"}, "does not resolve"),
    ],
)
async def test_a_false_claim_does_not_hold_and_says_why(
    system: DebianSystem, kind: str, params: dict[str, object], found: str
) -> None:
    result = await claimed(system, kind, **params)
    assert not result.passed
    assert found in result.found


@pytest.mark.parametrize(
    "text", ["'; touch /canary; '", "$(touch /canary)", "`touch /canary`", "| touch /canary", "\n"]
)
async def test_no_text_of_a_recipe_is_run_in_the_guest(system: DebianSystem, text: str) -> None:
    await claimed(system, "http_responds", url="http://127.0.0.1/", contains=f"x{text}touch /canary")
    if text != "\n":
        await claimed(system, "file_exists", path=f"/{text}")
    assert system.shell("ls /canary 2> /dev/null || true") == ""


async def test_one_question_alone_is_answered_as_it_is_in_company(system: DebianSystem) -> None:
    commands = [
        ("printf", "[%s]", "a b", "", "'\"", "ä\n\tö", "$HOME", "\\", "*", "-n", "a=b"),
        ("sh", "-c", "echo out; echo err >&2; exit 7"),
        ("sh", "-c", "cat; echo $LC_ALL $PATH; id -u"),
        ("head", "-c", "100000", "/dev/zero"),
        ("sh", "-c", "kill -9 $$"),
        ("no-such-program",),
        ("/etc/passwd",),  # which nobody can run
    ]
    probes = [Probe(argv=argv, plain=True) for argv in commands]
    alone = [(await ask(system, [probe]))[0] for probe in probes]
    company = await ask(system, probes)
    assert [(a.status, a.out, a.err) for a in alone] == [(a.status, a.out, a.err) for a in company]


async def test_the_driver_passes_on_any_argument_and_any_output(system: DebianSystem) -> None:
    arguments = ("a b", "", "'\"", "ä\n\tö", "$HOME", "\\", "*", "-n")
    probes = [
        Probe(argv=("printf", "[%s]", *arguments)),
        Probe(argv=("sh", "-c", "echo out; echo err >&2; exit 7")),
        Probe(argv=("sh", "-c", "cat")),  # nobody else's input is there to be read
        Probe(argv=("head", "-c", "100000", "/dev/zero")),
        Probe(argv=("no-such-program",)),
        Probe(argv=("sleep", "60"), limit=1),
    ]
    said, told, empty, long, missing, late = await ask(system, probes)
    assert said.out == "".join(f"[{argument}]" for argument in arguments)
    assert (told.status, told.out, told.err) == (7, "out\n", "err\n")
    assert (empty.status, empty.out) == (0, "")
    assert len(long.out) == 8192
    assert missing.status == 127
    assert late.status == 124
    assert late.seconds >= 1


def counted(name: str, script: str, *, limit: int = 60) -> Probe:
    """A program that leaves a mark each time it runs."""
    return once(Probe(argv=("sh", "-c", f"echo ran >> /run/{name}.runs; {script}"), limit=limit), name)


async def test_a_program_that_is_asked_for_twice_runs_once_and_says_the_same(system: DebianSystem) -> None:
    probe = counted("twice", "echo out; echo err >&2; exit 7")
    first, second = [(await ask(system, [probe]))[0] for _ in range(2)]
    assert (first.status, first.out, first.err) == (second.status, second.out, second.err) == (7, "out\n", "err\n")
    assert system.shell("cat /run/twice.runs") == "ran\n"
    await ask(system, [once(Probe(argv=probe.argv[5:]), "another-step")])
    assert system.shell("cat /run/twice.runs") == "ran\nran\n"


async def test_who_asks_while_it_still_runs_waits_and_gets_its_answer(system: DebianSystem) -> None:
    probe = counted("slow", "mkfifo /run/slow.gate; read -r word < /run/slow.gate; echo $word")
    asking = [asyncio.create_task(ask(system, [probe])) for _ in range(2)]  # the second is as a worker that follows
    await asyncio.to_thread(system.shell, "until [ -p /run/slow.gate ]; do sleep 0.1; done; echo done > /run/slow.gate")
    assert {answers[0].out for answers in await asyncio.gather(*asking)} == {"done\n"}
    assert system.shell("cat /run/slow.runs") == "ran\n"


async def test_a_program_that_ran_out_of_time_or_was_killed_is_not_begun_again(system: DebianSystem) -> None:
    late = counted("late", "sleep 60", limit=1)
    assert [(await ask(system, [late]))[0].status for _ in range(2)] == [124, 124]
    killed = counted("killed", "kill -KILL $PPID; sleep 60")
    assert (await ask(system, [killed]))[0].status == 137
    (again,) = await ask(system, [killed])
    assert (again.status, "killed in the machine" in again.err) == (137, True)
    assert system.shell("cat /run/late.runs /run/killed.runs") == "ran\nran\n"


async def test_a_file_that_does_not_fit_on_a_full_disk_is_no_file_and_the_reason_is_the_guests(
    system: DebianSystem,
) -> None:
    system.shell("cat /dev/zero > '/run/a b/full' || true; echo old > /run/kept; ln -s '/run/a b' /run/ab")
    step = PutFileStep(action="put_file", path="/run/ab/new", text="x" * 5000)
    try:
        result = await put(system, step, "case")
        assert (result.passed, "No space left" in result.found) == (False, True), result.found
        assert system.shell("ls -A '/run/a b'") == "full\n"
        (asked,) = await ask(system, [Probe(argv=("cat", "/run/kept"))])  # a full disk is no reason not to ask
        assert asked.out == "old\n"
    finally:
        system.shell("rm -f '/run/a b/full' /run/ab")
