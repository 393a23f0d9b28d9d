"""The setting that names the proxies which may say for whom they ask."""

from ipaddress import ip_network

import pytest

from domain.errors import Verdict
from infra.settings import load

NAME = "OPENFACTORY_TRUSTED_PROXIES"


def test_addresses_and_networks_are_taken_and_nobody_is_trusted_without_them() -> None:
    words = ("127.0.0.1", "::1", "10.0.0.0/8", "fd00::/64")
    assert load({NAME: "127.0.0.1, ::1 10.0.0.0/8,fd00::/64"}).trusted_proxies == tuple(map(ip_network, words))
    assert load({}).trusted_proxies == load({NAME: ""}).trusted_proxies == ()


@pytest.mark.parametrize("value", ["proxy.example", "10.0.0.1/8", "127.0.0.1:80", "*", "10.0.0.0/33", "1.2.3.4, x"])
def test_what_is_no_address_or_network_is_refused(value: str) -> None:
    with pytest.raises(Verdict) as refused:
        load({NAME: value})
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("settings.invalid", NAME)


@pytest.mark.parametrize("value", ["0.0.0.0/0", "127.0.0.1, ::/0"])
def test_to_trust_everybody_is_refused(value: str) -> None:
    with pytest.raises(Verdict, match="everybody"):
        load({NAME: value})
