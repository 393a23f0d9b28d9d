"""What this worker has read back from the object store, so that the same object is not read again and again."""

import time
from collections.abc import Callable

from domain.artifacts import Blob
from infra.ports import ObjectInfo

_TRUSTED_SECONDS = 24 * 3600.0


class ReadBacks:
    """Remembers, for a day and for as long as the process lives, which objects had their digest.

    What counts is the version that the store gives an object when it is written: an object that was
    written again, or lies in another store, is read again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[str, float]] = {}

    def hold(self, blob: Blob, there: ObjectInfo | None) -> bool:
        """Whether the object that is there was read back and had this digest."""
        version, at = self._seen.get(blob.digest, ("", 0.0))
        if there is None or not version or self._clock() - at > _TRUSTED_SECONDS:
            return False
        return there.version == version and there.bytes == blob.bytes

    def note(self, blob: Blob, there: ObjectInfo | None) -> None:
        """Remember that the object with this version was read and had the digest."""
        now = self._clock()
        self._seen = {digest: seen for digest, seen in self._seen.items() if now - seen[1] <= _TRUSTED_SECONDS}
        if there is not None and there.version:
            self._seen[blob.digest] = (there.version, now)
