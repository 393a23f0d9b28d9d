"""The activity that makes room on a host."""

from collections import defaultdict
from dataclasses import dataclass

from temporalio import activity

from activities.imaging.store_room import Item, StoreRoom
from activities.session import heartbeats
from activities.swept import COLLECT_STORE, Gone, StoreInput, Swept

_EXAMPLES = 3


@dataclass(frozen=True)
class CollectStoreActivities:
    """Makes room on this host."""

    host: str
    room: StoreRoom

    @activity.defn(name=COLLECT_STORE)
    async def collect_store(self, request: StoreInput) -> Swept:
        """Evict what was not wanted for longest if the store is over its budget or the disk low, and dead records."""
        async with heartbeats():
            evicted = await self.room.evict(dry_run=request.dry_run)
        kinds: dict[tuple[str, str], list[Item]] = defaultdict(list)
        for item in evicted.items:
            kinds[item.kind, item.reason].append(item)
        return Swept(
            gone=tuple(
                Gone(
                    where=self.host,
                    kind=kind,
                    reason=reason,
                    count=len(items),
                    bytes=sum(item.bytes for item in items),
                    examples=tuple(item.path.name for item in items[:_EXAMPLES]),
                )
                for (kind, reason), items in kinds.items()
            ),
            kept_bytes=evicted.kept_bytes,
        )
