"""A ticket opens one machine's console for a while, for relays that share the gateway's secret."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.console import ConsoleTicket
from domain.errors import Verdict
from infra.console_tickets import TicketSigner, ticket_signer
from infra.settings import load
from infra.signed_links import LinkSigner

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TICKET = ConsoleTicket(
    id="t1",
    vm_id="11111111-1111-4111-8111-111111111111",
    channel="vnc",
    mode="view",
    expires_at=NOW + timedelta(seconds=30),
    ends_at=NOW + timedelta(hours=4),
)
KEY = b"k" * 32
SIGNER = TicketSigner(KEY)


def refusal(token: str, *, now: datetime = NOW, signer: TicketSigner = SIGNER) -> str:
    with pytest.raises(Verdict) as refused:
        signer.verify(token, now=now)
    return refused.value.code


def test_a_ticket_comes_back_as_it_was_until_it_expires() -> None:
    token = SIGNER.sign(TICKET)
    assert SIGNER.verify(token, now=NOW) == TICKET
    assert refusal(token, now=TICKET.expires_at) == "console.ticket_invalid"


def test_a_changed_or_foreign_ticket_is_refused() -> None:
    token = SIGNER.sign(TICKET)
    body = SIGNER.sign(TICKET.model_copy(update={"mode": "control"}))
    assert refusal(token[:43] + body[43:]) == "console.ticket_invalid"
    assert refusal(token, signer=TicketSigner(b"x" * 32)) == "console.ticket_invalid"
    assert refusal("") == "console.ticket_invalid"


def test_a_download_link_of_the_same_key_is_no_ticket() -> None:
    link = LinkSigner(KEY).sign(key="blobs/a", name="", expires_at=NOW + timedelta(hours=1))
    assert refusal(link) == "console.ticket_invalid"


def test_gateway_and_host_agree_by_the_data_folder_or_by_a_configured_secret(tmp_path: Path) -> None:
    home = {"OPENFACTORY_HOME": str(tmp_path / "a")}
    elsewhere = {"OPENFACTORY_HOME": str(tmp_path / "b")}
    given = {"OPENFACTORY_RELAY_SECRET": "s" * 32}
    token = ticket_signer(load(home)).sign(TICKET)
    assert ticket_signer(load(home)).verify(token, now=NOW) == TICKET
    assert refusal(token, signer=ticket_signer(load(elsewhere))) == "console.ticket_invalid"
    token = ticket_signer(load(home | given)).sign(TICKET)
    assert ticket_signer(load(elsewhere | given)).verify(token, now=NOW) == TICKET


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENFACTORY_RELAY_SECRET", "short"),
        ("OPENFACTORY_RELAY_BIND", "7301"),
        ("OPENFACTORY_RELAY_BIND", "127.0.0.1:x"),
        ("OPENFACTORY_RELAY_BIND", "127.0.0.1:65536"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(Verdict) as refused:
        load({"OPENFACTORY_HOME": "/tmp/x", name: value})
    assert refused.value.problems[0].path == name
