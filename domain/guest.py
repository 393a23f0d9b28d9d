"""Guests: metered callers without an account, each an organization of its own."""

from datetime import datetime
from typing import Literal

from domain.caller import Caller
from domain.model import Value
from domain.plan import plan_of

PLAN = "guest"


class Guest(Value):
    """A guest that was minted. `network` is where the mint was asked from, and `minted_by` how."""

    guest_id: str
    network: str
    minted_by: Literal["page", "operator"]
    minted_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


class GuestPass(Value):
    """A guest and the token it shows in `X-Guest-Id`, which is kept nowhere. It identifies a browser, not a person."""

    guest: Guest
    token: str


def guest_org(guest_id: str) -> str:
    """Name the organization of a guest, which is nobody else's."""
    return f"guest-{guest_id}"


def guest_caller(guest: Guest) -> Caller:
    """Make the caller that a guest is."""
    return Caller(
        org_id=guest_org(guest.guest_id),
        subject=f"guest {guest.guest_id}",
        plan=PLAN,
        permissions=plan_of(PLAN).permissions,
        expires_at=guest.expires_at,
    )
