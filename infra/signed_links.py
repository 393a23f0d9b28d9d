"""Download links: a token that opens one object under one name until a time, and nothing else."""

import base64
import hashlib
import hmac
import json
from datetime import datetime

from domain.errors import Verdict

_PURPOSE = b"openfactory.link.v1\0"  # a signature made for anything else with this key never fits
_MAC_BYTES = hashlib.sha256().digest_size
_LONGEST_TOKEN = 2048


class LinkSigner:
    """Signs and verifies links with a 256-bit key (HMAC-SHA256)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, *, key: str, name: str, expires_at: datetime) -> str:
        """Make a URL-safe token for the object `key` under the file name `name`; times in whole seconds."""
        body = json.dumps([key, int(expires_at.timestamp())], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(name, body) + body).decode().rstrip("=")

    def verify(self, token: str, *, name: str, now: datetime) -> str:
        """Return the object's key; nothing in the token is looked at before its signature fits.

        Raises:
            Verdict: `link.invalid` or `link.expired`.

        """
        raw = _decoded(token)
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(name, body)):
            raise Verdict.because(
                "link.invalid",
                "this link was not made by this factory, or it was changed",
                next="Copy the whole link, or ask get_download_links for new ones.",
            )
        key, expires_at = json.loads(body)
        if now.timestamp() >= expires_at:
            raise Verdict.because(
                "link.expired", "this link is no longer valid", next="Ask get_download_links for new links."
            )
        return str(key)

    def _mac(self, name: str, body: bytes) -> bytes:
        # The name's length comes first, so that no byte can move between name and body.
        text = name.encode(errors="surrogatepass")
        return hmac.digest(self._key, _PURPOSE + len(text).to_bytes(4, "big") + text + body, "sha256")


def _decoded(token: str) -> bytes:
    try:
        if len(token) <= _LONGEST_TOKEN:
            return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        pass
    return b""
