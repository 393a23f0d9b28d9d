"""Each assertion: the program it runs, and how it judges what that wrote."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from activities.verification.assertions import check_of
from activities.verification.check import Answer, Check, Finding
from domain.recipe.assertions import Assertion

ASSERTION: TypeAdapter[Assertion] = TypeAdapter(Assertion)
ANN = "ann:x:1000:1000:,,,:/home/ann:/bin/bash\nann www-data\n"
UNIT = "LoadState={}\nActiveState={}\nSubState={}\nUnitFileState={}\nType=simple\nResult=success\n"


def check(kind: str, **params: object) -> Check:
    return check_of(ASSERTION.validate_python({"type": kind, "params": params}), "suite")


def judged(made: Check, out: str, *, status: int = 0, err: str = "") -> Finding:
    return made.judge(Answer(status=status, out=out, err=err))


@pytest.mark.parametrize("text", ["/a'; touch /canary; '", "/$(id)", "/a b", "/-rf"])
def test_what_a_recipe_says_stays_one_argument(text: str) -> None:
    made = check("file_exists", path=text)
    assert made.probe.argv[-2:] == ("--", text)


def test_a_text_to_look_for_is_an_argument_of_the_program_and_no_part_of_it() -> None:
    plain = check("http_responds", url="http://h/", contains="a")
    hostile = check("http_responds", url="http://h/", contains="'; system('id'); '")
    assert hostile.probe.argv[:3] == plain.probe.argv[:3]
    assert hostile.probe.argv[-1] == "'; system('id'); '"


@pytest.mark.parametrize(
    ("params", "passed", "found"),
    [
        ({}, True, "uid 1000"),
        ({"groups": ["www-data"], "shell": "/bin/bash", "home": "/home/ann"}, True, "www-data"),
        ({"groups": ["sudo", "www-data"]}, False, "not in sudo"),
        ({"shell": "/bin/zsh"}, False, "shell /bin/bash"),
        ({"home": "/srv"}, False, "home /home/ann"),
    ],
)
def test_user_exists_compares_what_is_claimed(params: dict[str, Any], passed: bool, found: str) -> None:
    finding = judged(check("user_exists", username="ann", **params), ANN)
    assert finding.passed is passed
    assert found in finding.found


def test_a_user_that_is_not_there_is_said_so() -> None:
    assert judged(check("user_exists", username="ann"), "", status=2) == Finding(passed=False, found="no such user")


@pytest.mark.parametrize(
    ("version", "out", "passed"),
    [
        (None, "installed 1.22.1-9\n", True),
        ("1.22", "installed 1.22.1-9\n", True),
        ("1.2.2", "installed 1.22.1-9\n", False),
        (None, "config-files 1.22.1-9\n", False),
        (None, "", False),
    ],
)
def test_package_installed_compares_the_version_as_a_prefix(version: str | None, out: str, passed: bool) -> None:
    assert judged(check("package_installed", package="nginx", version=version), out).passed is passed


@pytest.mark.parametrize(
    ("unit", "running", "enabled"),
    [
        (("loaded", "active", "running", "enabled"), True, True),
        (("loaded", "active", "exited", "static"), True, False),
        (("loaded", "failed", "failed", "enabled"), False, True),
        (("loaded", "activating", "start", "alias"), False, True),
        (("not-found", "inactive", "dead", ""), False, False),
        (("masked", "inactive", "dead", "masked"), False, False),
    ],
)
def test_a_service_is_what_systemd_calls_it(unit: tuple[str, ...], running: bool, enabled: bool) -> None:
    out = UNIT.format(*unit)
    assert judged(check("service_running", service="x"), out).passed is running
    assert judged(check("service_enabled", service="x"), out).passed is enabled


def test_a_unit_may_be_named_without_its_kind() -> None:
    assert check("service_running", service="nginx").probe.argv[-1] == "nginx.service"
    assert check("service_running", service="ssh.socket").probe.argv[-1] == "ssh.socket"


SOCKETS = "LISTEN 0 128 {}:80 0.0.0.0:*\n"


@pytest.mark.parametrize(
    ("address", "local", "passed"),
    [
        (None, "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),  # noqa: S104 - compared, not bound
        ("127.0.0.1", "*", True),
        ("127.0.0.1", "[::]", False),
        ("127.0.0.1", "10.0.2.15", False),
        ("0.0.0.0", "127.0.0.1", False),  # noqa: S104 - as above
        ("::1", "[::]", True),
        ("::1", "[::1]", True),
        ("127.0.0.53", "127.0.0.53%lo", True),
    ],
)
def test_a_socket_on_all_addresses_listens_on_each(address: str | None, local: str, passed: bool) -> None:
    made = check("port_listening", port=80, address=address)
    assert judged(made, SOCKETS.format(local)).passed is passed


def test_no_socket_is_said_so_and_may_come_late() -> None:
    made = check("port_listening", port=80)
    assert judged(made, "").found == "nothing listens"
    assert made.settles


@pytest.mark.parametrize(
    ("params", "passed"),
    [
        ({}, True),
        ({"mode": "0640"}, True),
        ({"mode": "640", "owner": "root", "group": "shadow"}, True),
        ({"owner": "0", "group": "42"}, True),
        ({"mode": "0644"}, False),
        ({"owner": "ann"}, False),
        ({"group": "root"}, False),
    ],
)
def test_file_exists_compares_mode_owner_and_group(params: dict[str, Any], passed: bool) -> None:
    finding = judged(check("file_exists", path="/etc/shadow", **params), "640|root|0|shadow|42|regular file\n")
    assert finding.passed is passed
    assert finding.found == "regular file, mode 0640, root:shadow"


def test_a_file_that_is_not_there_is_said_so() -> None:
    finding = judged(check("file_exists", path="/x"), "", status=1, err="stat: cannot statx '/x': No such file or dir")
    assert finding == Finding(passed=False, found="no such file")


@pytest.mark.parametrize(
    ("params", "out", "passed", "found"),
    [
        ({}, "status 200\ncontains yes\nbytes 5\n", True, "status 200, 5 bytes"),
        ({"contains": "hi"}, "status 200\ncontains yes\nbytes 5\n", True, "status 200"),
        ({"contains": "hi"}, "status 200\ncontains no\nbytes 5\n", False, "without the text"),
        ({"status": 404}, "status 200\ncontains yes\nbytes 5\n", False, "status 200"),
        ({}, "error cannot connect: refused\n", False, "cannot connect: refused"),
        ({}, "", False, "nothing (exit status 0)"),
    ],
)
def test_http_responds_compares_status_and_text(params: dict[str, Any], out: str, passed: bool, found: str) -> None:
    finding = judged(check("http_responds", url="http://127.0.0.1/", **params), out)
    assert finding.passed is passed
    assert found in finding.found


def test_a_probe_that_ran_out_of_time_is_a_wrong_claim() -> None:
    for made in (check("user_exists", username="a"), check("port_listening", port=1), check("file_exists", path="/x")):
        assert not judged(made, "", status=124).passed


def test_whatever_the_guest_answers_is_a_finding_and_no_error() -> None:
    checks = [
        check("user_exists", username="a"),
        check("package_installed", package="ab"),
        check("service_running", service="a"),
        check("service_enabled", service="a"),
        check("port_listening", port=1, address="::1"),
        check("file_exists", path="/x", mode="644"),
        check("http_responds", url="http://h/"),
    ]
    for out in ("", "\n", "::::::\n", "||||||\n", "=\n", "status\n", "a b c d e f g\n", "\x00\xff"):
        for made in checks:
            judged(made, out)
