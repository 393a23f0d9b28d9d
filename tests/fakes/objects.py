"""An object store in memory."""

from collections import Counter
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

from domain.errors import Fault, Verdict
from infra.ports import ObjectInfo


class FakeObjectStore:
    """Behaves like `infra.objects.S3ObjectStore`; `away` makes every call fail as a lost store does."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.versions: Counter[str] = Counter()
        self.content_types: dict[str, str] = {}
        self.away = False
        self.written: dict[str, datetime] = {}
        self.now = lambda: datetime.now(UTC)
        self.calls: list[tuple[str, str]] = []
        self.half_done: list[ObjectInfo] = []

    async def ensure_bucket(self) -> None:
        """Do nothing: the bucket is always there."""
        self._note("ensure_bucket", "")

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    async def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Keep the bytes."""
        self._note("put", key)
        self.objects[key] = data
        self.versions[key] += 1
        self.written[key] = self.now()
        self.content_types[key] = content_type

    async def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """Keep the file's bytes."""
        await self.put(key, path.read_bytes(), content_type)

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return the bytes, or a part of them."""
        self._note("get", key)
        if key not in self.objects:
            raise Verdict.because("object.not_found", f"there is no object {key}", value=key)
        end = None if length is None else offset + length
        return self.objects[key][offset:end]

    async def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """Yield the bytes in chunks of 1 MiB."""
        data = await self.get(key, offset=offset, length=length)
        for start in range(0, len(data), 1 << 20):
            yield data[start : start + (1 << 20)]

    async def stat(self, key: str) -> ObjectInfo | None:
        """Tell the size."""
        self._note("stat", key)
        data = self.objects.get(key)
        return None if data is None else self._info(key).model_copy(update={"version": f"v{self.versions[key]}"})

    async def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[ObjectInfo, ...]:
        """List in key order."""
        self._note("list", prefix)
        keys = sorted(k for k in self.objects if k.startswith(prefix) and k > after)
        return tuple(self._info(k) for k in keys[:limit])

    async def delete(self, key: str) -> None:
        """Forget the object."""
        self._note("delete", key)
        self.objects.pop(key, None)

    async def abort_uploads(self, prefix: str, *, before: datetime, dry_run: bool = False) -> tuple[ObjectInfo, ...]:
        """Forget what `half_done` has of old uploads."""
        self._note("abort_uploads", prefix)
        found = tuple(o for o in self.half_done if o.key.startswith(prefix) and o.modified < before)
        if not dry_run:
            self.half_done = [o for o in self.half_done if o not in found]
        return found

    def _note(self, method: str, key: str) -> None:
        self.calls.append((method, key))
        if self.away:
            raise Fault.because("objects.unavailable", "the object store is away")

    def _info(self, key: str) -> ObjectInfo:
        return ObjectInfo(key=key, bytes=len(self.objects[key]), modified=self.written.setdefault(key, self.now()))


class ListsWrongly(FakeObjectStore):
    """A store whose lists have another key in them."""

    instead = ""

    async def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[ObjectInfo, ...]:
        found = await super().list(prefix, after=after, limit=limit)
        return tuple(o.model_copy(update={"key": self.instead}) if self.instead else o for o in found)


class HasLost(FakeObjectStore):
    """A store that still lists what it has not any more."""

    lost = ""

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if key == self.lost:
            raise Verdict.because("object.not_found", f"there is no object {key}", value=key)
        return await super().get(key, offset=offset, length=length)
