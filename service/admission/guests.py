"""The book of guests in PostgreSQL: minted, so many for each network and day, found again, revoked."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from psycopg.rows import DictRow

from domain.errors import Problem, RateLimited
from domain.guest import Guest, GuestPass
from infra.guest_tokens import GuestSigner
from service.admission.database import AdmissionDatabase

LIFETIME: Final = timedelta(days=30)
PER_NETWORK: Final = 5
PER_DAY: Final = 500
_ONE_AT_A_TIME: Final = 0x0F_AC_60_E5  # an advisory lock, an arbitrary number


class GuestBook:
    """Mints and knows guests. Every method raises `Fault` when the database does not answer.

    `per_network` and `per_day` bound what the front page mints in 24 hours; the operator is not bound.
    """

    def __init__(
        self,
        database: AdmissionDatabase,
        signer: GuestSigner,
        *,
        lifetime: timedelta = LIFETIME,
        per_network: int = PER_NETWORK,
        per_day: int = PER_DAY,
    ) -> None:
        self._database = database
        self._signer = signer
        self._lifetime = lifetime
        self._per_network = per_network
        self._per_day = per_day

    async def mint(self, *, network: str, minted_by: Literal["page", "operator"]) -> GuestPass:
        """Make a guest.

        Raises:
            RateLimited: too many were made today, from this network or at all; after `retry_after` neither is so.

        """
        guest_id = secrets.token_hex(8)
        expires_at = (datetime.now(UTC) + self._lifetime).replace(microsecond=0)
        async with self._database.transaction() as connection:
            if minted_by == "page":
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_ONE_AT_A_TIME,))
                await self._check(connection, network)
            made = await connection.execute(
                """
                INSERT INTO admission.guests (guest_id, network, minted_by, expires_at) VALUES (%s, %s, %s, %s)
                RETURNING *
                """,
                (guest_id, network, minted_by, expires_at),
            )
            [row] = await made.fetchall()
        return GuestPass(guest=_guest(row), token=self._signer.close(guest_id, expires_at))

    async def find(self, token: str) -> Guest | None:
        """Return the guest of a token, over or revoked as it may be; nothing for a token that is not ours."""
        sealed = self._signer.open(token)
        if sealed is None:
            return None
        async with self._database.transaction() as connection:
            found = await connection.execute("SELECT * FROM admission.guests WHERE guest_id = %s", (sealed.guest_id,))
            row = await found.fetchone()
        return None if row is None else _guest(row)

    async def latest(self, limit: int = 100) -> tuple[Guest, ...]:
        """List guests, newest first."""
        async with self._database.transaction() as connection:
            found = await connection.execute(
                "SELECT * FROM admission.guests ORDER BY minted_at DESC, guest_id LIMIT %s", (limit,)
            )
            return tuple([_guest(row) async for row in found])

    async def revoke(self, guest_id: str) -> bool:
        """Let a guest in no more; answers false if there is none. Harmless to repeat."""
        async with self._database.transaction() as connection:
            done = await connection.execute(
                "UPDATE admission.guests SET revoked_at = coalesce(revoked_at, now()) WHERE guest_id = %s", (guest_id,)
            )
            return done.rowcount > 0

    async def _check(self, connection: Any, network: str) -> None:  # noqa: ANN401 - psycopg's connection, generic in its rows
        # A limit of N is met as long as the guest that is N-th from the newest is of the last 24 hours.
        asked = await connection.execute(
            """
            WITH today AS (
                SELECT network, minted_at FROM admission.guests
                WHERE minted_by = 'page' AND minted_at > now() - interval '1 day'
            ), met AS (
                (SELECT minted_at FROM today WHERE network = %s ORDER BY minted_at DESC OFFSET %s LIMIT 1)
                UNION ALL
                (SELECT minted_at FROM today ORDER BY minted_at DESC OFFSET %s LIMIT 1)
            )
            SELECT extract(epoch FROM max(minted_at) + interval '1 day' - now()) AS seconds FROM met
            """,
            (network, self._per_network - 1, self._per_day - 1),
        )
        row = await asked.fetchone()
        if row["seconds"] is None:
            return
        raise RateLimited(
            Problem(
                code="rate.limited",
                message="Enough guest tokens were made today from your network, or from all together.",
                retryable=True,
                next="Use the token you have, try again tomorrow, or ask whoever runs this factory for a key.",
            ),
            retry_after=max(1.0, float(row["seconds"])),
        )


def _guest(row: DictRow) -> Guest:
    return Guest.model_validate({name: row[name] for name in Guest.model_fields})
