"""Plain logging: one line per record, UTC times, the part's name, no secrets."""

import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

_API_KEY = re.compile(r"\bof_([0-9a-z]+)_[A-Za-z0-9_-]{16,}")
_GUEST_TOKEN = re.compile(r"\bofg_[A-Za-z0-9_-]+")
_LINK_TOKEN = re.compile(r"/(download|upload|console)/[A-Za-z0-9_-]{24,}")
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@")
_NOISY = ("urllib3", "httpx", "asyncio", "psycopg.pool")


class OneLine(logging.Formatter):
    """`2030-01-02T03:04:05.678Z part level logger: message`, with line ends escaped.

    What looks like a key, a signed link or a password in a URL is masked: the last line of defence, never
    the first.
    """

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as one line, its traceback included."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        line = f"{at} {self._part} {record.levelname.lower()} {record.name}: {text}"
        return masked(line).replace("\r", "\\r").replace("\n", "\\n")


def masked(text: str) -> str:
    """Mask API keys, guests' tokens, signed links and passwords in URLs: a library quotes a request it cannot read."""
    keyless = _GUEST_TOKEN.sub("ofg_***", _API_KEY.sub(r"of_\1_***", text))
    return _URL_PASSWORD.sub(r"\1:***@", _LINK_TOKEN.sub(r"/\1/***", keyless))


def configure_logging(part: str, *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send all log records of this process to `stream` (standard error). Called once, by its entry point."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(OneLine(part))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
