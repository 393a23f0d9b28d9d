"""The other assertions, their opposites and deadlines, with answers as guests give them."""

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from activities.verification.assertions import CHECKS, check_of
from activities.verification.check import Answer, Check
from domain.recipe.assertions import Assertion
from domain.recipe.keys import ASSERTION_TYPES

ASSERTION: TypeAdapter[Assertion] = TypeAdapter(Assertion)

PARAMS: dict[str, dict[str, Any]] = {
    "user_exists": {"username": "ann"},
    "group_exists": {"name": "docker"},
    "service_running": {"service": "nginx"},
    "service_enabled": {"service": "nginx"},
    "process_running": {"name": "nginx"},
    "package_installed": {"package": "nginx"},
    "package_not_installed": {"package": "telnetd"},
    "port_listening": {"port": 23},
    "http_responds": {"url": "http://127.0.0.1/"},
    "file_exists": {"path": "/etc/nologin"},
    "file_contains": {"path": "/etc/hosts", "contains": "x"},
    "command_succeeds": {"command": "nginx -t"},
    "command_output": {"command": "id", "contains": "x"},
    "kernel_parameter": {"name": "quiet"},
    "mount_present": {"path": "/data"},
    "sysctl_value": {"name": "net.ipv4.ip_forward", "value": "1"},
    "dns_resolves": {"name": "server"},
    "ping_reaches": {"host": "server"},
    "no_failed_units": {},
}


def check(kind: str, *, negated: bool = False, within: int | None = None, **params: object) -> Check:
    return check_of(
        ASSERTION.validate_python({"type": kind, "params": params, "not": negated, "within": within}), "suite"
    )


def judged(made: Check, out: str = "", *, status: int = 0, err: str = "") -> tuple[bool, str]:
    finding = made.judge(Answer(status=status, out=out, err=err))
    return finding.passed, finding.found


def test_every_type_of_assertion_has_its_check_and_its_example_here() -> None:
    assert set(CHECKS) == set(ASSERTION_TYPES) == set(PARAMS)
    assert len(get_args(get_args(Assertion)[0])) == len(ASSERTION_TYPES)


@pytest.mark.parametrize("kind", ASSERTION_TYPES)
def test_every_check_says_what_it_claims_and_what_is_run(kind: str) -> None:
    made, opposite = check(kind, **PARAMS[kind]), check(kind, negated=True, **PARAMS[kind])
    assert made.type == opposite.type == kind
    assert made.description
    assert opposite.description not in {"", made.description}
    assert opposite.expected == f"not: {made.expected}"
    assert 0 < len(made.probe.command) < 300


@pytest.mark.parametrize("kind", ASSERTION_TYPES)
@pytest.mark.parametrize("status", [124, 126, 127])
def test_a_question_that_could_not_be_put_proves_neither_the_claim_nor_its_opposite(kind: str, status: int) -> None:
    for negated in (False, True):
        assert not judged(check(kind, negated=negated, **PARAMS[kind]), status=status, err="perl: not found\n")[0]


@pytest.mark.parametrize("kind", ASSERTION_TYPES)
def test_nonsense_from_a_guest_never_passes_for_an_opposite(kind: str) -> None:
    made = check(kind, negated=True, **PARAMS[kind])
    for status in (3, 77):
        for text in ("\x00\xff", "-:::: |||| = status\n", "error \n"):
            assert not judged(made, text, status=status, err="?")[0]


@pytest.mark.parametrize(
    ("kind", "params", "out", "status", "holds", "found"),
    [
        ("group_exists", {"name": "docker"}, "docker:x:998:ann,bob\n", 0, True, "gid 998, members ann,bob"),
        ("group_exists", {"name": "docker", "gid": 998}, "docker:x:998:\n", 0, True, "gid 998"),
        ("group_exists", {"name": "docker", "gid": 1}, "docker:x:998:\n", 0, False, "gid 998"),
        ("group_exists", {"name": "docker"}, "", 2, False, "no such group"),
        ("process_running", {"name": "nginx"}, "7 root\n9 www-data\ncount 2\n", 0, True, "2: 7 root, 9 www-data"),
        ("process_running", {"name": "nginx", "count": 1}, "7 root\n9 www-data\ncount 2\n", 0, False, "2: 7 root"),
        ("process_running", {"name": "nginx"}, "count 0\n", 0, False, "none"),
        ("package_not_installed", {"package": "telnetd"}, "", 1, True, "not installed"),
        ("package_not_installed", {"package": "telnetd"}, "config-files 0.17-44\n", 0, True, "not installed"),
        ("package_not_installed", {"package": "telnetd"}, "installed 0.17-44\n", 0, False, "version 0.17-44"),
        ("package_not_installed", {"package": "telnetd"}, "", 2, False, "nothing (exit status 2)"),
        ("file_contains", {"path": "/f", "contains": "x"}, "contains yes\nline a x\nbytes 9\n", 0, True, "found: a x"),
        ("file_contains", {"path": "/f", "matches": "^x"}, "matches no\nbytes 9\n", 0, False, "9 bytes, no match"),
        ("file_contains", {"path": "/f", "contains": "x"}, "", 2, False, "no such file"),
        ("file_contains", {"path": "/f", "contains": "x"}, "error /f is a folder\n", 3, False, "is a folder"),
        ("command_succeeds", {"command": "x"}, "status 0\n\nall well\n", 0, True, "exit status 0: all well"),
        ("command_succeeds", {"command": "x"}, "status 3\n\n", 0, False, "exit status 3, no output"),
        ("command_succeeds", {"command": "x"}, "status 0\n\nstatus 1\n\n", 0, True, "exit status 0"),
        ("command_output", {"command": "x", "contains": "y"}, "status 0\ncontains no\n\nz\n", 0, False, "without"),
        ("command_output", {"command": "x", "equals": "y"}, "status 0\nequals yes\n\ny\n", 0, True, "status 0: y"),
        ("command_output", {"command": "x", "equals": "y"}, "status 1\nequals yes\n\ny\n", 0, False, "status 1"),
        ("kernel_parameter", {"name": "quiet"}, "BOOT_IMAGE=/vmlinuz ro quiet\n", 0, True, "quiet"),
        ("kernel_parameter", {"name": "console", "value": "ttyS0"}, "console=tty0 console=ttyS0\n", 0, True, "ttyS0"),
        ("kernel_parameter", {"name": "console", "value": "ttyS1"}, "console=tty0\n", 0, False, "console=tty0"),
        ("kernel_parameter", {"name": "a-b.c", "value": "d e"}, 'ro a_b.c="d e"\n', 0, True, "a-b.c=d e"),
        ("kernel_parameter", {"name": "quie"}, "quiet\n", 0, False, "it is not there"),
        ("sysctl_value", {"name": "a.b", "value": "1 2"}, "1\t2\n", 0, True, "1 2"),
        ("sysctl_value", {"name": "a.b", "value": "1"}, "0\n", 0, False, "0"),
        ("dns_resolves", {"name": "h"}, "10.0.0.2  STREAM h\n10.0.0.2  DGRAM\n", 0, True, "10.0.0.2"),
        ("dns_resolves", {"name": "h", "address": "FD00::2"}, "fd00::2  STREAM h\n", 0, True, "fd00::2"),
        ("dns_resolves", {"name": "h", "address": "10.0.0.3"}, "10.0.0.2  STREAM h\n", 0, False, "10.0.0.2"),
        ("dns_resolves", {"name": "h"}, "", 2, False, "no address"),
        ("ping_reaches", {"host": "h"}, "10.0.0.2 answers\n", 0, True, "10.0.0.2 answers"),
        ("ping_reaches", {"host": "h"}, "10.0.0.2 does not answer within 5 s\n", 1, False, "does not answer"),
        ("ping_reaches", {"host": "h"}, "the machine has neither perl nor ping\n", 126, False, "neither perl nor"),
        ("no_failed_units", {}, "", 0, True, "none"),
        ("no_failed_units", {}, "a.service\n  exit 3\nb.service\n", 0, False, "a.service, b.service"),
        ("no_failed_units", {"ignore": ["a"]}, "a.service\n  exit 3\n", 0, True, "none"),
        ("no_failed_units", {"ignore": ["a"]}, "a.service\n  exit 3\nb.service\n  why\n", 0, False, "b.service\n"),
    ],
)
def test_what_a_guest_answers_is_judged(
    kind: str, params: dict[str, Any], out: str, status: int, holds: bool, found: str
) -> None:
    passed, said = judged(check(kind, **params), out, status=status)
    assert passed is holds
    assert found in said
    answered = status not in {3, 126} and not (kind == "package_not_installed" and status == 2)
    assert judged(check(kind, negated=True, **params), out, status=status)[0] is (answered and not holds)


MOUNTS = (
    "26 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda2 rw\n"
    "40 26 0:35 / /run/a\\040b rw,nosuid,nodev shared:9 - tmpfs none rw,size=64k\n"
    "41 26 0:36 / /data rw - ext4 /dev/old rw\n"
    "42 26 0:37 / /data ro,noexec - xfs /dev/vdb1 rw\n"
)


@pytest.mark.parametrize(
    ("params", "holds"),
    [
        ({"path": "/run/a b", "fstype": "tmpfs", "options": ["nosuid", "size=64k"]}, True),
        ({"path": "/data/", "source": "/dev/vdb1", "fstype": "xfs", "options": ["ro"]}, True),
        ({"path": "/data", "source": "/dev/old"}, False),
        ({"path": "/data", "options": ["nodev"]}, False),
        ({"path": "/", "fstype": "ext4"}, True),
        ({"path": "/dat"}, False),
    ],
)
def test_of_several_mounts_on_one_point_the_upper_one_counts(params: dict[str, Any], holds: bool) -> None:
    assert judged(check("mount_present", **params), MOUNTS)[0] is holds


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0-1/forwarding", "net/ipv4/conf/eth0-1/forwarding"),
        ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
    ],
)
def test_a_setting_s_name_is_read_as_sysctl_does(name: str, file: str) -> None:
    assert check("sysctl_value", name=name, value="1").probe.argv[-1] == f"/proc/sys/{file}"


def test_a_command_and_what_is_looked_for_are_arguments_and_no_part_of_the_program() -> None:
    plain = check("command_output", command="id", contains="a")
    hostile = check("command_output", command="'; id; '", contains="$(id)", user="ann")
    assert hostile.probe.argv[2] == plain.probe.argv[2]
    assert hostile.probe.argv[-6:] == ("ann", "1", "contains=$(id)", "sh", "-c", "'; id; '")


def test_the_description_of_an_opposite_names_what_is_compared() -> None:
    opposite = check("user_exists", negated=True, username="ann", groups=["sudo"], home="/srv")
    assert opposite.description == "user ann does not exist so: in sudo, home /srv"
    assert check("port_listening", negated=True, port=23).description == "nothing listens on any address, port 23/tcp"
    assert check("file_exists", negated=True, path="/x", mode="0644").description == "/x does not exist so: mode 0644"


def test_an_opposite_is_asked_once_unless_it_has_a_deadline() -> None:
    assert check("port_listening", port=23).settles
    opposite = check("port_listening", negated=True, port=23)
    assert (opposite.settles, opposite.within) == (False, None)
    assert check("port_listening", negated=True, within=9, port=23).within == 9
