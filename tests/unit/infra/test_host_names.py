"""Hosts in one spelling each, and the settings that name them."""

import pytest

from domain.errors import Verdict
from infra.host_names import host_named, host_of
from infra.settings import load


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("LocalHost:7300", "localhost"),
        ("Factory.Example", "factory.example"),
        ("factory.example:", "factory.example"),
        ("10.0.0.5:1", "10.0.0.5"),
        ("[FD00:0:0::5]:8080", "[fd00::5]"),
    ],
)
def test_one_host_has_one_spelling(authority: str, host: str) -> None:
    assert host_of(authority) == host


def test_an_address_with_one_of_ipv4_inside_has_one_spelling_too() -> None:
    assert host_of("[::ffff:10.0.0.5]") == host_of("[::FFFF:a00:5]") is not None


@pytest.mark.parametrize(
    "authority",
    [
        "",
        ":80",
        "fd00::5",
        "fd00::5:80",
        "[fd00::5",
        "[fd00::5]x",
        "[fd00::5]:8x",
        "[fe80::1%25eth0]",
        "[10.0.0.5]",
        "[]",
        "a b",
        "me@localhost",
        "localhost/",
        "localhost:80x",
        "-localhost",
        "*.example",
        "bücher.example",
        "localhost:\uff18\uff10",  # digits, but wide ones
        "bo\u212a",  # the sign of kelvin, a k in lower case
        "a" * 300,
    ],
)
def test_what_is_no_host_is_none(authority: str) -> None:
    assert host_of(authority) is None


def test_people_may_leave_out_the_brackets() -> None:
    for word in ("fd00::5", "FD00:0::5", "[fd00::5]", "[fd00::5]:7300"):
        assert host_named(word) == "[fd00::5]"
    assert host_named("lab:99") == "lab"
    assert host_named("fe80::1%eth0") is None


def test_settings_take_names_and_addresses_by_which_the_factory_may_be_called() -> None:
    named = load({"OPENFACTORY_ALLOWED_HOSTS": "fd00::5, [FD00::6]  Box.Lan,lab:99"})
    assert named.allowed_hosts == ("[fd00::5]", "[fd00::6]", "box.lan", "lab")
    assert load({"OPENFACTORY_URL": "http://[fd00::5]:7300/"}).public_url == "http://[fd00::5]:7300"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENFACTORY_ALLOWED_HOSTS", "https://factory.example"),
        ("OPENFACTORY_ALLOWED_HOSTS", "lab, *.example"),
        ("OPENFACTORY_ALLOWED_HOSTS", "fd00:::5"),
        ("OPENFACTORY_ALLOWED_HOSTS", "[fd00::5"),
        ("OPENFACTORY_URL", "factory.example"),
        ("OPENFACTORY_URL", "http://[fd00::5"),
        ("OPENFACTORY_URL", "http://fd00::5"),
        ("OPENFACTORY_URL", "http://"),
    ],
)
def test_settings_refuse_what_cannot_be_a_host(variable: str, value: str) -> None:
    with pytest.raises(Verdict) as refused:
        load({variable: value})
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("settings.invalid", variable)
