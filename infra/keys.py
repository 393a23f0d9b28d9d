"""The secret files of the data folder, and API keys.

Each file is made by whoever needs it first, complete or not at all, so parts that start together agree.
"""

import hmac
import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from domain.errors import Verdict
from domain.model import Value

_SCHEME = "of"
_PREFIX_BYTES = 6
_SECRET_BYTES = 32  # 256 bits
_RANDOM_LETTERS = 8  # of a name that `tempfile` makes
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class ApiKeyRecord(Value):
    """What is kept of an API key: its public prefix and an HMAC-SHA256 that is useless without the pepper."""

    prefix: str
    mac: str


class _Parts(NamedTuple):
    prefix: str
    secret: str


class Secrets:
    """The folder of secrets (`settings.secrets`); every method makes its file at first use.

    All raise `Verdict` (`secrets.permissions`) when someone else could read or replace a secret.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def operator_key(self) -> str:
        """The local operator's API key, in `operator.key`."""
        return self._text("operator.key", new_api_key)

    def signing_key(self) -> bytes:
        """The 256-bit key of download links."""
        return bytes.fromhex(self._text("signing.key", _random))

    def pepper(self) -> bytes:
        """The 256-bit pepper of API keys; it never goes into the database."""
        return bytes.fromhex(self._text("pepper.key", _random))

    def relay_key(self) -> bytes:
        """The 256-bit key of console tickets, which gateway and hosts share."""
        return bytes.fromhex(self._text("relay.key", _random))

    def password(self, name: str) -> str:
        """The password called `name` (a database role or a service), 256 bits in hexadecimal digits."""
        return self._text(f"{name}.password", _random)

    def _text(self, name: str, make: Callable[[], str]) -> str:
        return read_or_make(self._folder / name, lambda: make().encode() + b"\n").decode().strip()


def read_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    """Read a secret file, or make it (0600, in a folder of 0700) if there is none.

    Of several that make it at once one wins and all return its bytes: the file appears under its name
    by link(2), which never replaces. What somebody left who was killed in between is removed.

    Raises:
        Verdict: `secrets.permissions`, naming the file and the chmod to run.

    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check(path.parent, path.parent.stat(), forbidden=_OTHERS_WRITE, wanted="700")
    with suppress(FileNotFoundError):
        return _read_alone(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError, FileNotFoundError):  # somebody else's was there before, and this one is removed
            os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return _read_alone(path)


def new_api_key() -> str:
    """Make an API key: `of_<prefix>_<secret>`, 256 bits of secret."""
    return f"{_SCHEME}_{secrets.token_hex(_PREFIX_BYTES)}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def key_prefix(key: str) -> str | None:
    """Read the public part by which a key is looked up; nothing if this is no API key."""
    parts = _parts(key)
    return None if parts is None else parts.prefix


def record_of(key: str, pepper: bytes) -> ApiKeyRecord:
    """Make what may be kept of a key.

    Raises:
        Verdict: `key.malformed`.

    """
    parts = _parts(key)
    if parts is None:
        raise Verdict.because("key.malformed", "an API key looks like of_<prefix>_<secret>")
    return ApiKeyRecord(prefix=parts.prefix, mac=_mac(parts, pepper))


def key_matches(key: str, record: ApiKeyRecord, pepper: bytes) -> bool:
    """Tell whether `key` is the key that `record` was made of, in constant time for a well-formed key."""
    parts = _parts(key)
    if parts is None:
        return False
    fits = hmac.compare_digest(_mac(parts, pepper), record.mac)
    return fits and parts.prefix == record.prefix


def _parts(key: str) -> _Parts | None:
    scheme, _, rest = key.partition("_")
    prefix, _, secret = rest.partition("_")
    if scheme != _SCHEME or not prefix or not secret or not key.isascii():
        return None
    return _Parts(prefix, secret)


def _mac(parts: _Parts, pepper: bytes) -> str:
    return hmac.digest(pepper, f"{parts.prefix}_{parts.secret}".encode(), "sha256").hex()


def _random() -> str:
    return secrets.token_hex(_SECRET_BYTES)


def _read_alone(path: Path) -> bytes:
    """Read a secret that is there, and remove copies under other names: once it is there nobody needs any of them."""
    data = _read(path)
    for left in path.parent.glob(f".{path.name}.{'?' * _RANDOM_LETTERS}"):
        with suppress(OSError):  # a folder that cannot be written can be read all the same
            left.unlink()
    return data


def _read(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        _check(path, os.fstat(handle), forbidden=_OTHERS, wanted="600")
        return file.read()


def _check(path: Path, found: os.stat_result, *, forbidden: int, wanted: str) -> None:
    if found.st_uid != os.geteuid():
        raise Verdict.because(
            "secrets.permissions",
            f"{path} belongs to user {found.st_uid}, not to user {os.geteuid()} who runs this",
            path=str(path),
            next="Run the factory as the user who owns its data folder, or chown the folder.",
        )
    if found.st_mode & forbidden:
        raise Verdict.because(
            "secrets.permissions",
            f"{path} is open to other users (mode {stat.S_IMODE(found.st_mode):04o})",
            path=str(path),
            next=f"Run: chmod {wanted} {path}",
        )
