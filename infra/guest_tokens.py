"""What a guest shows instead of a key: its id and its end, sealed by the factory."""

import json
from datetime import UTC, datetime
from typing import Final, NamedTuple

from infra.sealed import Seal

PREFIX: Final = "ofg_"
_PURPOSE: Final = b"openfactory.guest.v1"


class SealedGuest(NamedTuple):
    """What a token says. Whether it is over or revoked is for others to see."""

    guest_id: str
    expires_at: datetime


class GuestSigner:
    """Seals and opens with a 256-bit key."""

    def __init__(self, key: bytes) -> None:
        self._seal = Seal(key, _PURPOSE)

    def close(self, guest_id: str, expires_at: datetime) -> str:
        """Make a token that fits into a header; times in whole seconds."""
        body = json.dumps([guest_id, int(expires_at.timestamp())], separators=(",", ":")).encode()
        return PREFIX + self._seal.close(body)

    def open(self, token: str) -> SealedGuest | None:
        """Return what a token of ours says, or nothing."""
        if not token.startswith(PREFIX):
            return None
        body = self._seal.open(token.removeprefix(PREFIX))
        if body is None:
            return None
        guest_id, expires_at = json.loads(body)
        return SealedGuest(str(guest_id), datetime.fromtimestamp(expires_at, UTC))
