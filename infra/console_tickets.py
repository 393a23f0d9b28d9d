"""Tickets for a host's console relay, which the gateway makes and the relay understands."""

import hashlib
from datetime import datetime

from domain.console import ConsoleTicket
from domain.errors import Verdict
from infra.keys import Secrets
from infra.sealed import Seal
from infra.settings import Settings

_PURPOSE = b"openfactory.console.v1"


class TicketSigner:
    """Signs and verifies tickets with the key that gateway and relays share."""

    def __init__(self, key: bytes) -> None:
        self._seal = Seal(key, _PURPOSE)

    def sign(self, ticket: ConsoleTicket) -> str:
        """Make a token that fits into a header."""
        return self._seal.close(ticket.model_dump_json().encode())

    def verify(self, token: str, *, now: datetime) -> ConsoleTicket:
        """Return the ticket. That it is used once is for the relay to see.

        Raises:
            Verdict: `console.ticket_invalid`.

        """
        body = self._seal.open(token)
        if body is not None:
            ticket = ConsoleTicket.model_validate_json(body)
            if now < min(ticket.expires_at, ticket.ends_at):
                return ticket
        raise Verdict.because(
            "console.ticket_invalid",
            "this ticket was not made by this factory, or its time is over",
            next="Ask get_console_link for a new link; gateway and host must have the same relay secret and time.",
        )


def ticket_signer(settings: Settings) -> TicketSigner:
    """Make the signer of this factory: with the secret that is configured, else with that of the data folder."""
    if settings.relay_secret is not None:
        return TicketSigner(hashlib.sha256(settings.relay_secret.get_secret_value().encode()).digest())
    return TicketSigner(Secrets(settings.secrets).relay_key())
