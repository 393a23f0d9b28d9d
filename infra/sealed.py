"""Tokens that hold something, made and understood by whoever has the key (HMAC-SHA256)."""

import base64
import hashlib
import hmac

_MAC_BYTES = hashlib.sha256().digest_size
_LONGEST_TOKEN = 2048


class Seal:
    """Seals bodies for one purpose: what was sealed for anything else with the same key never fits."""

    def __init__(self, key: bytes, purpose: bytes) -> None:
        self._key = key
        self._purpose = purpose

    def close(self, body: bytes, *, name: str = "") -> str:
        """Make a URL-safe token of `body`, which stays readable; `name` is bound to it but not inside."""
        return base64.urlsafe_b64encode(self._mac(name, body) + body).decode().rstrip("=")

    def open(self, token: str, *, name: str = "") -> bytes | None:
        """Return the body, or nothing if the seal does not fit."""
        raw = _decoded(token)
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        return body if hmac.compare_digest(mac, self._mac(name, body)) else None

    def _mac(self, name: str, body: bytes) -> bytes:
        # The name's length comes first, so that no byte can move between name and body.
        text = name.encode(errors="surrogatepass")
        return hmac.digest(self._key, self._purpose + b"\0" + len(text).to_bytes(4, "big") + text + body, "sha256")


def _decoded(token: str) -> bytes:
    try:
        if len(token) <= _LONGEST_TOKEN:
            return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        pass
    return b""
