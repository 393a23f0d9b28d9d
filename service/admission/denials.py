"""Who was refused what, and how often: counted in memory, appended to a table each second, never changed."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from typing import Final, NamedTuple, Self

from domain.errors import Fault
from service.admission.database import AdmissionDatabase

_log = logging.getLogger(__name__)
_FLUSH_SECONDS: Final = 1.0
_MOST_KINDS: Final = 5_000
_KEPT_DAYS: Final = 90


class Denial(NamedTuple):
    """One kind of refusal: its code, what was asked for, by whom, from where. `subject` is empty for nobody."""

    code: str
    what: str
    org_id: str = ""
    subject: str = ""
    network: str = ""


class Denials:
    """`async with Denials(database) as denials`. A database that is away is no reason to refuse less: they wait."""

    def __init__(self, database: AdmissionDatabase) -> None:
        self._database = database
        self._counted: Counter[Denial] = Counter()
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.cancel()
            with suppress(asyncio.CancelledError):
                await self._writer
        await self.flush()

    def note(self, denial: Denial) -> None:
        """Count a refusal. Of a flood only the codes are told apart."""
        if denial in self._counted or len(self._counted) < _MOST_KINDS:
            self._counted[denial] += 1
        else:
            self._counted[Denial(denial.code, "…")] += 1

    async def flush(self) -> None:
        """Append what was counted."""
        taken, self._counted = self._counted, Counter()
        if not taken:
            return
        try:
            async with self._database.transaction() as connection, connection.cursor() as cursor:
                await cursor.executemany(
                    "INSERT INTO admission.denials (code, what, org_id, subject, network, times) "
                    "VALUES (%s, %s, %s, %s, %s, %s)",
                    [(*denial, times) for denial, times in taken.items()],
                )
                await cursor.execute(
                    "DELETE FROM admission.denials WHERE at < now() - %s * interval '1 day'", (_KEPT_DAYS,)
                )
        except Fault as fault:
            _log.warning("denials wait to be written: %s", fault)
            self._counted.update(taken)

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self.flush()


async def counted(database: AdmissionDatabase, hours: float) -> tuple[tuple[Denial, int], ...]:
    """Sum up the refusals of the last hours, the most frequent first."""
    async with database.transaction() as connection:
        found = await connection.execute(
            """
            SELECT code, what, org_id, subject, network, sum(times)::bigint AS times FROM admission.denials
            WHERE at > now() - %s * interval '1 hour' GROUP BY 1, 2, 3, 4, 5 ORDER BY times DESC, code LIMIT 1000
            """,
            (hours,),
        )
        rows = await found.fetchall()
    return tuple((Denial(*(row[name] for name in Denial._fields)), int(row["times"])) for row in rows)
