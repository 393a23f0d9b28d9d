"""What the service needs to let guests in and to count whom it refuses, as protocols."""

from typing import Literal, Protocol

from domain.guest import Guest, GuestPass
from service.admission.denials import Denial


class Guests(Protocol):
    """The book of guests. Every method raises `Fault` when it cannot know."""

    async def mint(self, *, network: str, minted_by: Literal["page", "operator"]) -> GuestPass:
        """Make a guest. Raises `RateLimited` when enough were made today."""
        ...

    async def find(self, token: str) -> Guest | None:
        """Return the guest of a token, over or revoked as it may be; nothing for a token that is not ours."""
        ...


class DenialLog(Protocol):
    """Where refusals are counted."""

    def note(self, denial: Denial) -> None:
        """Count one; never fails and never waits."""
        ...
