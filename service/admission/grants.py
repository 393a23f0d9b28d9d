"""Who may open a console: links that work once, and the sessions that they open.

Of a link's token and of a session's secret only digests are kept, so nobody who reads the tables has either.
Both are 256 random bits; a digest needs no salt then. The database's clock is the only one.
"""

import hashlib
import secrets
from collections.abc import Collection
from datetime import timedelta

from psycopg.rows import DictRow

from domain.console import ConsoleGrant, ConsoleSession
from service.admission.database import AdmissionDatabase
from service.ports import MintedLink, OpenedConsole

LINK_LIFETIME = timedelta(seconds=60)
SESSION_LENGTH = timedelta(hours=4)


class ConsoleGrants:
    """Links and sessions in PostgreSQL. Every method raises `Fault` when the database does not answer."""

    def __init__(
        self, database: AdmissionDatabase, *, lifetime: timedelta = LINK_LIFETIME, length: timedelta = SESSION_LENGTH
    ) -> None:
        self._database = database
        self._lifetime = lifetime
        self._length = length

    async def mint(self, grant: ConsoleGrant) -> MintedLink:
        """Make a link; what has expired meanwhile is swept."""
        token = _random()
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM admission.console_links WHERE expires_at <= now()")
            await connection.execute("DELETE FROM admission.console_sessions WHERE ends_at <= now()")
            made = await connection.execute(
                """
                INSERT INTO admission.console_links (digest, org_id, subject, vm_id, channel, mode, expires_at)
                VALUES (%(digest)s, %(org_id)s, %(subject)s, %(vm_id)s, %(channel)s, %(mode)s, now() + %(lifetime)s)
                RETURNING expires_at
                """,
                {**grant.model_dump(), "digest": _digest(token), "lifetime": self._lifetime},
            )
            [row] = await made.fetchall()
        return MintedLink(token, row["expires_at"])

    async def open(self, token: str) -> OpenedConsole | None:
        """Use a link up and begin its session; nothing if it was used, has expired or never was.

        Of several at once one gets it: the row is deleted and its session made in one statement.
        """
        secret = _random()
        async with self._database.transaction() as connection:
            opened = await connection.execute(
                """
                WITH used AS (
                    DELETE FROM admission.console_links WHERE digest = %(link)s
                    RETURNING digest, org_id, subject, vm_id, channel, mode, expires_at
                )
                INSERT INTO admission.console_sessions
                    (link_digest, secret_digest, org_id, subject, vm_id, channel, mode, ends_at)
                SELECT digest, %(secret)s, org_id, subject, vm_id, channel, mode, now() + %(length)s
                FROM used WHERE expires_at > now()
                RETURNING *
                """,
                {"link": _digest(token), "secret": _digest(secret), "length": self._length},
            )
            row = await opened.fetchone()
        return None if row is None else OpenedConsole(_session(row), secret)

    async def find(self, token: str, secret: str) -> ConsoleSession | None:
        """Return the session of a link that was opened, for whoever holds its secret."""
        async with self._database.transaction() as connection:
            found = await connection.execute(
                """
                SELECT * FROM admission.console_sessions
                WHERE link_digest = %s AND secret_digest = %s AND ends_at > now()
                """,
                (_digest(token), _digest(secret)),
            )
            row = await found.fetchone()
        return None if row is None else _session(row)

    async def living(self, session_ids: Collection[str]) -> frozenset[str]:
        """Tell which of the sessions have not been ended."""
        async with self._database.transaction() as connection:
            found = await connection.execute(
                """
                SELECT session_id FROM admission.console_sessions
                WHERE session_id = ANY(%s::uuid[]) AND ends_at > now()
                """,
                (list(session_ids),),
            )
            return frozenset([str(row["session_id"]) async for row in found])

    async def revoke(self, org_id: str, *, vm_id: str | None = None, subject: str | None = None) -> int:
        """End an organization's links and sessions: all, or those of a machine or of somebody; counts them."""
        about = {"org_id": org_id, "vm_id": vm_id, "subject": subject}
        async with self._database.transaction() as connection:
            ended = await connection.execute(
                """
                WITH links AS (
                    DELETE FROM admission.console_links WHERE org_id = %(org_id)s
                    AND vm_id = coalesce(%(vm_id)s, vm_id) AND subject = coalesce(%(subject)s, subject) RETURNING 1
                ), sessions AS (
                    DELETE FROM admission.console_sessions WHERE org_id = %(org_id)s
                    AND vm_id = coalesce(%(vm_id)s, vm_id) AND subject = coalesce(%(subject)s, subject) RETURNING 1
                )
                SELECT (SELECT count(*) FROM links) + (SELECT count(*) FROM sessions) AS ended
                """,
                about,
            )
            [row] = await ended.fetchall()
        return int(row["ended"])


def _session(row: DictRow) -> ConsoleSession:
    grant = ConsoleGrant.model_validate({name: row[name] for name in ConsoleGrant.model_fields})
    return ConsoleSession(id=str(row["session_id"]), grant=grant, ends_at=row["ends_at"])


def _random() -> str:
    return secrets.token_urlsafe(32)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
