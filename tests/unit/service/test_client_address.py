"""Who asks, behind proxies: only what a proxy of ours says counts, and only what it saw itself."""

from ipaddress import ip_network

import pytest

from service.admission.networks import client_address

PROXIES = tuple(map(ip_network, ("127.0.0.1", "10.0.0.0/8", "fd00::/64")))


@pytest.mark.parametrize("peer", ["198.51.100.1", "127.0.0.2", "2001:db8::1", "::ffff:198.51.100.1"])
@pytest.mark.parametrize("told", ["192.0.2.7", "127.0.0.1", "192.0.2.7, 10.0.0.1"])
def test_who_is_no_proxy_of_ours_cannot_say_that_it_is_somebody_else(peer: str, told: str) -> None:
    assert client_address(peer, [told], PROXIES) == peer


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.1.2.3", "unknown", None])
def test_without_proxies_of_ours_nothing_that_is_said_counts(peer: str | None) -> None:
    assert client_address(peer, ["192.0.2.7"], ()) == peer


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.9.8.7", "fd00::5", "::ffff:127.0.0.1", "fd00::5%eth0"])
def test_a_proxy_of_ours_says_who_asks(peer: str) -> None:
    assert client_address(peer, ["192.0.2.7"], PROXIES) == "192.0.2.7"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["203.0.113.9, 192.0.2.7"], "192.0.2.7"),
        (["203.0.113.9", "192.0.2.7"], "192.0.2.7"),
        (["203.0.113.9, 192.0.2.7, 10.0.0.1"], "192.0.2.7"),
        (["203.0.113.9, 192.0.2.7", "10.0.0.1,fd00::5"], "192.0.2.7"),
        (["no address, 192.0.2.7"], "192.0.2.7"),
        (["10.0.0.2, 10.0.0.1"], "10.0.0.2"),
        (["::ffff:10.0.0.1"], "10.0.0.1"),
    ],
)
def test_the_last_who_is_no_proxy_of_ours_is_the_client(forwarded: list[str], client: str) -> None:
    assert client_address("127.0.0.1", forwarded, PROXIES) == client


@pytest.mark.parametrize(
    ("word", "client"),
    [
        ("192.0.2.7:4711", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("  192.0.2.7  ", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_ports_and_brackets_are_left_out(word: str, client: str) -> None:
    assert client_address("127.0.0.1", [word], PROXIES) == client


@pytest.mark.parametrize(
    "word",
    [
        "",
        " ",
        ",",
        "unknown",
        "_hidden",
        "192.0.2.7:",
        "192.0.2",
        "[2001:db8::7",
        "2001:db8::7]",
        "192.0.2.7;x",
        "1" * 9999,
    ],
)
def test_what_is_no_address_leaves_the_proxy_as_the_client(word: str) -> None:
    assert client_address("127.0.0.1", [word], PROXIES) == "127.0.0.1"
    assert client_address("127.0.0.1", [f"192.0.2.7, {word}, 10.0.0.1"], PROXIES) == "127.0.0.1"


def test_a_proxy_of_ours_that_says_nothing_asks_itself() -> None:
    assert client_address("127.0.0.1", [], PROXIES) == "127.0.0.1"
