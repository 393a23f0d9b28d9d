"""Letting guests in: people without a key, metered, where the factory is set up for them."""

from datetime import datetime

from domain.caller import Caller
from domain.errors import Verdict
from domain.guest import Guest, GuestPass, guest_caller
from service.factory import Factory

_LONGEST_TOKEN = 512
_ANOTHER = "Ask for a new one with the button on the factory's front page."


async def mint_guest(factory: Factory, network: str, *, token: str | None = None) -> GuestPass:
    """Give a browser its guest token: the one it has if that still holds, else a new one.

    Raises:
        Verdict: `guest.off`.
        RateLimited: enough were made today.

    """
    guests = factory.guests
    if guests is None:
        raise _off()
    known = await guests.find(token) if token and len(token) <= _LONGEST_TOKEN else None
    if token and known is not None and _holds(known, factory.now()):
        return GuestPass(guest=known, token=token)
    return await guests.mint(network=network, minted_by="page")


async def authenticate_guest(factory: Factory, token: str) -> Caller:
    """Return the caller that a guest token stands for.

    Raises:
        Verdict: `guest.off`, `guest.invalid`, `guest.expired` or `guest.revoked`.

    """
    if factory.guests is None:
        raise _off()
    guest = await factory.guests.find(token) if len(token) <= _LONGEST_TOKEN else None
    if guest is None:
        message = "The guest token was not made by this factory, or it was changed."
        raise Verdict.because("guest.invalid", message, next=f"Copy the whole token. {_ANOTHER}")
    if guest.revoked_at is not None:
        raise Verdict.because("guest.revoked", "This guest token was revoked.", next="Ask the operator for a key.")
    if not _holds(guest, factory.now()):
        raise Verdict.because("guest.expired", f"This guest token ended at {guest.expires_at:%Y-%m-%d}.", next=_ANOTHER)
    return guest_caller(guest)


def _holds(guest: Guest, now: datetime) -> bool:
    return guest.revoked_at is None and now < guest.expires_at


def _off() -> Verdict:
    return Verdict.because(
        "guest.off",
        "This factory takes no guests.",
        next="Send an API key: 'Authorization: Bearer <key>'. Whoever runs the factory lets guests in with "
        "OPENFACTORY_GUESTS=on.",
    )
