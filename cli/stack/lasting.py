"""Noticing that a program is stuck in an error whose cause is gone."""

import asyncio
import shutil

from cli.stack.part import LastingError

_PAUSE_SECONDS = 0.5


class Complaint:
    """Listens to a program for the words of its lasting error, if it has one."""

    def __init__(self, error: LastingError | None) -> None:
        self._error = error
        self._heard = asyncio.Event()
        self._end = b""

    def listen(self, chunk: bytes) -> None:
        """Take what the program wrote; the words may be in two pieces."""
        if self._error is not None and not self._heard.is_set():
            text = self._end + chunk
            self._end = text[1 - len(self._error.said) :]
            if self._error.said in text:
                self._heard.set()

    async def outlasts_its_cause(self) -> None:
        """Return when the words were said and the disk has room; never for a program without a lasting error."""
        await self._heard.wait()
        while not self._has_room():  # noqa: ASYNC110 - a disk tells nobody
            await asyncio.sleep(_PAUSE_SECONDS)

    def _has_room(self) -> bool:
        return self._error is None or shutil.disk_usage(self._error.folder).free >= self._error.room_bytes
