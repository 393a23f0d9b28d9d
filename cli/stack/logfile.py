"""The log of one part: appended to, and rotated by size."""

from pathlib import Path
from typing import IO


class RotatingLog:
    """Keeps at most `keep` older files of `limit` bytes each, as `NAME.log.1` (the newest) and so on."""

    def __init__(self, path: Path, *, limit: int = 8 << 20, keep: int = 3) -> None:
        self.path = path
        self._limit = limit
        self._keep = keep
        self._file: IO[bytes] | None = None
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append `data` whole; a file begins with a new write, not in the middle of one."""
        if self._file is not None and self._size + len(data) > self._limit:
            self.close()
            self._rotate()
        if self._file is None:
            self._open()
        if self._file is not None:
            self._file.write(data)
            self._size += len(data)

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab", buffering=0)
        self._size = self._file.tell()

    def _rotate(self) -> None:
        for number in range(self._keep, 1, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self.path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def last_lines(path: Path, count: int = 5) -> list[str]:
    """Return the last lines of a log, for a message about what went wrong."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [line for line in lines if line.strip()][-count:]
