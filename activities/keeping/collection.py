"""Removes from the object store what nobody refers to any more. Runs on core workers, beside the database."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from temporalio import activity

from activities.keeping.collect_models import (
    FIND_EXPIRED,
    SWEEP_OBJECTS,
    CollectInput,
    Expired,
    ExpiredFound,
    SweepInput,
)
from activities.session import heartbeats
from activities.swept import Gone, Swept
from domain.errors import Fault
from domain.keeping import (
    HALF_DONE,
    HALF_DONE_GRACE,
    PREFIXES,
    JobFate,
    References,
    Removable,
    artifacts_are_over,
    removable,
)
from infra.ports import ObjectInfo, ObjectStore

_PAGE = 1000
_MOST_EXPIRED = 200
_EXAMPLES = 3


def _now() -> datetime:
    return datetime.now(UTC)


class ReferencesOf(Protocol):
    """What is referred to. Raises `Fault` when it cannot know for certain."""

    async def references(self, *, without: tuple[str, ...] = ()) -> References:
        """Tell what is referred to; builds in `without` count as if their files had expired."""
        ...

    async def builds_with_files(self) -> tuple[JobFate, ...]:
        """List builds that have ended and whose files are kept and used by nobody."""
        ...


@dataclass
class _Tally:
    """Counts what goes, by kind and reason."""

    gone: dict[tuple[str, str], list[ObjectInfo]] = field(
        default_factory=lambda: defaultdict[tuple[str, str], list[ObjectInfo]](list)
    )
    kept: int = 0
    kept_bytes: int = 0
    notes: list[str] = field(default_factory=list[str])

    def note(self, info: ObjectInfo, why: Removable | None) -> None:
        if why is None:
            self.kept += 1
            self.kept_bytes += info.bytes
        else:
            self.gone[why.kind, why.reason].append(info)

    def result(self) -> Swept:
        gone = (
            Gone(
                where="object store",
                kind=kind,
                reason=reason,
                count=len(found),
                bytes=sum(info.bytes for info in found),
                examples=tuple(info.key for info in found[:_EXAMPLES]),
            )
            for (kind, reason), found in sorted(self.gone.items())
        )
        return Swept(gone=tuple(gone), kept=self.kept, kept_bytes=self.kept_bytes, notes=tuple(self.notes))


@dataclass(frozen=True)
class CollectionActivities:
    """Looks at every object and half-done upload; an object that may go is looked at once more before it goes."""

    reads: ReferencesOf
    objects: ObjectStore
    now: Callable[[], datetime] = _now

    def all(self) -> list[Callable[..., Any]]:
        """Return every activity, for a worker."""
        return [self.find_expired, self.sweep_objects]

    @activity.defn(name=FIND_EXPIRED)
    async def find_expired(self, request: CollectInput) -> ExpiredFound:
        """Find builds whose files their plan keeps no longer."""
        del request
        over = ((fate, artifacts_are_over(fate, self.now())) for fate in await self.reads.builds_with_files())
        found = tuple(Expired(build_id=fate.job_id, reason=reason) for fate, reason in over if reason)
        return ExpiredFound(builds=found[:_MOST_EXPIRED])

    @activity.defn(name=SWEEP_OBJECTS)
    async def sweep_objects(self, request: SweepInput) -> Swept:
        """Remove what may go; a repeat goes on where this stopped.

        An upload that just ended is protected by its age; who takes up an older object writes it anew. So the
        age is asked for once more before each removal, and nothing in use is ever both old and unreferenced.
        """
        async with heartbeats():
            references = await self.reads.references(without=request.expired if request.dry_run else ())
            tally = _Tally()
            for prefix in PREFIXES:
                await self._sweep(prefix, references, tally, dry_run=request.dry_run)
            await self._give_up(tally, dry_run=request.dry_run)
            return tally.result()

    async def _sweep(self, prefix: str, references: References, tally: _Tally, *, dry_run: bool) -> None:
        after = ""
        while page := await self.objects.list(prefix, after=after, limit=_PAGE):
            for info in page:
                why = removable(info.key, info.modified, references, self.now())
                if why is not None and not dry_run:
                    why = await self._remove(info.key, references)
                tally.note(info, why)
            after = page[-1].key

    async def _give_up(self, tally: _Tally, *, dry_run: bool) -> None:
        """Abort uploads that died half-way; lists of objects do not have their parts.

        A store that does not let them be looked for keeps nothing else from going.
        """
        before = self.now() - HALF_DONE_GRACE
        try:
            for prefix in PREFIXES:
                for info in await self.objects.abort_uploads(prefix, before=before, dry_run=dry_run):
                    tally.note(info, HALF_DONE)
        except Fault as error:
            tally.notes.append(f"half-done uploads: {error.problems[0].message}")

    async def _remove(self, key: str, references: References) -> Removable | None:
        found = await self.objects.stat(key)
        why = None if found is None else removable(key, found.modified, references, self.now())
        if why is not None:
            await self.objects.delete(key)
        return why
