"""Ids of clients' sessions that nobody has to remember: each tells by itself whose it is, and what for."""

from infra.sealed import Seal

_PURPOSE = b"openfactory.client-session.v1"


class SessionSeal:
    """Makes and understands session ids; the key is the same in every server process and after every restart."""

    def __init__(self, key: bytes) -> None:
        self._seal = Seal(key, _PURPOSE)

    def close(self, fact: str, *, owner: str) -> str:
        """Make an id of visible ASCII that holds `fact`, which stays readable, for one owner."""
        return self._seal.close(fact.encode(), name=owner)

    def open(self, session_id: str, *, owner: str) -> str | None:
        """Return the fact, or nothing if the id is not the owner's or not ours."""
        body = self._seal.open(session_id, name=owner)
        return None if body is None else body.decode()
