"""Who is let in, by which name, and what the public page may tell."""

import pytest

from domain.errors import Verdict
from service.admission.credentials import OPERATOR, OperatorKeyVerifier
from service.health import check_health
from service.hosts import allowed_hosts, host_allowed, origin_allowed
from service.identity import authenticate, whoami
from tests.fakes.factory import NOBODY, World


async def test_the_operators_key_is_the_operator() -> None:
    verifier = OperatorKeyVerifier("of_abc_secret")
    assert await verifier.verify("of_abc_secret") == OPERATOR
    for wrong in ("", "of_abc_secre", "of_abc_secret ", "OF_ABC_SECRET", "\ud800"):
        assert await verifier.verify(wrong) is None


def test_there_is_no_empty_operator_key() -> None:
    with pytest.raises(ValueError, match="empty"):
        OperatorKeyVerifier("")


@pytest.mark.parametrize(
    ("credential", "code"),
    [(None, "auth.required"), ("", "auth.required"), ("x", "auth.invalid"), ("x" * 5000, "auth.invalid")],
)
async def test_without_a_valid_key_nobody_is_anybody(world: World, credential: str | None, code: str) -> None:
    with pytest.raises(Verdict) as refusal:
        await authenticate(world.factory, credential)
    assert refusal.value.code == code
    assert refusal.value.problems[0].next


async def test_whoami_tells_permissions_in_a_fixed_order(world: World) -> None:
    assert (await whoami(world.factory, OPERATOR)).permissions == ("build", "read", "test", "upload", "vm")


async def test_without_a_permission_even_whoami_is_refused(world: World) -> None:
    with pytest.raises(Verdict, match=r"permission\.denied"):
        await whoami(world.factory, NOBODY)


def test_hosts_are_loopback_the_public_name_and_what_was_configured() -> None:
    hosts = allowed_hosts("https://Factory.Example:8443", ("10.0.0.5", "lab:99", "fd00:0::5", "[fd00::6]"))
    for good in (
        "localhost",
        "127.0.0.1:7300",
        "[::1]:7300",
        "factory.example",
        "FACTORY.example:1",
        "10.0.0.5",
        "lab",
        "LocalHost:8080",
        "[FD00::5]:8080",
        "[fd00:0:0::6]",
    ):
        assert host_allowed(good, hosts)
    for bad in (
        None,
        "",
        "evil.example",
        "localhost.evil.example",
        "factory.example.evil:80",
        "localhost:80x",
        "[::2]",
        "fd00::5",
        "fd00:",
    ):
        assert not host_allowed(bad, hosts)


def test_foreign_origins_are_refused_and_no_origin_is_not() -> None:
    hosts = allowed_hosts("https://factory.example")
    assert origin_allowed(None, hosts)
    assert origin_allowed("http://localhost:6274", hosts)
    assert origin_allowed("HTTP://LocalHost:8080", hosts)
    assert origin_allowed("https://Factory.Example", hosts)
    assert origin_allowed("http://[0::1]:8080", hosts)
    for bad in (
        "",
        "null",
        "//localhost",
        "http\u017f://localhost",  # a long s, an s in another case
        "http://me@localhost",
        "http://[::1",
        "https://evil.example",
        "ftp://localhost",
        "file://",
        "https://factory.example.evil",
    ):
        assert not origin_allowed(bad, hosts)


async def test_health_names_the_part_that_is_down_but_not_where_it_lives(world: World) -> None:
    assert (await check_health(world.factory)).ok
    world.reads.away = True
    health = await check_health(world.factory)
    assert [part.name for part in health.parts if not part.ok] == ["database"]
    assert "10.9.8.7" not in health.model_dump_json()
