"""Guests, denials and meters in memory."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Literal

from domain.build.state import BuildState
from domain.errors import Problem, RateLimited
from domain.guest import Guest, GuestPass
from domain.metering import Spent, minutes_of
from domain.vm.state import VmState
from infra.guest_tokens import GuestSigner
from service.admission.denials import Denial
from service.admission.guests import LIFETIME, PER_DAY, PER_NETWORK

_DAY = timedelta(days=1)


class FakeGuests:
    """The book of guests; the tokens are real."""

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        lifetime: timedelta = LIFETIME,
        per_network: int = PER_NETWORK,
        per_day: int = PER_DAY,
    ) -> None:
        self._now = now
        self._lifetime = lifetime
        self._per_network = per_network
        self._per_day = per_day
        self._signer = GuestSigner(b"k" * 32)
        self._numbers = itertools.count(1)
        self.guests: dict[str, Guest] = {}

    async def mint(self, *, network: str, minted_by: Literal["page", "operator"]) -> GuestPass:
        today = [g for g in self.guests.values() if g.minted_by == "page" and g.minted_at > self._now() - _DAY]
        here = [guest for guest in today if guest.network == network]
        waits = [
            minted[-most].minted_at + _DAY - self._now()
            for minted, most in ((here, self._per_network), (today, self._per_day))
            if len(minted) >= most
        ]
        if minted_by == "page" and waits:
            problem = Problem(code="rate.limited", message="enough", retryable=True, next="Come back tomorrow.")
            raise RateLimited(problem, retry_after=max(1.0, max(waits).total_seconds()))
        guest = Guest(
            guest_id=f"{next(self._numbers):016x}",
            network=network,
            minted_by=minted_by,
            minted_at=self._now(),
            expires_at=(self._now() + self._lifetime).replace(microsecond=0),
        )
        self.guests[guest.guest_id] = guest
        return GuestPass(guest=guest, token=self._signer.close(guest.guest_id, guest.expires_at))

    async def find(self, token: str) -> Guest | None:
        sealed = self._signer.open(token)
        return None if sealed is None else self.guests.get(sealed.guest_id)

    async def latest(self, limit: int = 100) -> tuple[Guest, ...]:
        return tuple(sorted(self.guests.values(), key=lambda guest: guest.minted_at, reverse=True)[:limit])

    async def revoke(self, guest_id: str) -> bool:
        guest = self.guests.get(guest_id)
        if guest is not None and guest.revoked_at is None:
            self.guests[guest_id] = guest.model_copy(update={"revoked_at": self._now()})
        return guest is not None


class FakeDenials:
    """Counts refusals."""

    def __init__(self) -> None:
        self.counted: Counter[Denial] = Counter()

    def note(self, denial: Denial) -> None:
        self.counted[denial] += 1


class FakeMeters:
    """What an organization has spent, read off its builds and machines."""

    def __init__(self, builds: Iterable[BuildState], vms: Iterable[VmState], now: datetime) -> None:
        self._builds = [build for build in builds if build.requested_at > now - _DAY]
        self._vms = [vm for vm in vms if vm.requested_at > now - _DAY]

    async def spent(self) -> Spent:
        minutes = sum(minutes_of(vm.spec.ttl or 0) for vm in self._vms)
        unrested = [build for build in self._builds if build.status in {"pending", "building", "testing"}]
        first = min((build.requested_at for build in self._builds), default=None)
        return Spent(
            builds=len(self._builds),
            open_builds=len(unrested),
            builds_at=None if first is None else first + _DAY,
            vm_minutes=minutes,
        )
