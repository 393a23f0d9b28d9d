"""Download links: a token that opens one object under one name until a time, and nothing else."""

import json
from datetime import datetime

from domain.errors import Verdict
from domain.model import Value
from infra.sealed import Seal

_PURPOSE = b"openfactory.link.v1"


class BuildOf(Value):
    """The build that a link was made for: it works as long as that build is there."""

    org_id: str
    build_id: str


class LinkGrant(Value):
    """What a link opens."""

    key: str
    build: BuildOf | None = None


class LinkSigner:
    """Signs and verifies links with a 256-bit key."""

    def __init__(self, key: bytes) -> None:
        self._seal = Seal(key, _PURPOSE)

    def sign(self, *, key: str, name: str, expires_at: datetime, build: BuildOf | None = None) -> str:
        """Make a URL-safe token for the object `key` under the file name `name`; times in whole seconds."""
        of = [build.org_id, build.build_id] if build is not None else []
        body = json.dumps([key, int(expires_at.timestamp()), *of], separators=(",", ":")).encode()
        return self._seal.close(body, name=name)

    def verify(self, token: str, *, name: str, now: datetime) -> LinkGrant:
        """Return what it opens; nothing in the token is looked at before its signature fits.

        Raises:
            Verdict: `link.invalid` or `link.expired`.

        """
        body = self._seal.open(token, name=name)
        if body is None:
            raise Verdict.because(
                "link.invalid",
                "this link was not made by this factory, or it was changed",
                next="Copy the whole link, or ask get_download_links for new ones.",
            )
        key, expires_at, *of = json.loads(body)
        if now.timestamp() >= expires_at:
            raise Verdict.because(
                "link.expired", "this link is no longer valid", next="Ask get_download_links for new links."
            )
        return LinkGrant(key=key, build=BuildOf(org_id=of[0], build_id=of[1]) if of else None)
