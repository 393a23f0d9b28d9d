"""Links that work for an hour without a key: one object each, under one file name."""

from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote

from infra.signed_links import BuildOf
from service.factory import Factory

LINK_LIFETIME = timedelta(hours=1)


class Link(NamedTuple):
    """An address, and until when it works."""

    url: str
    expires_at: datetime


def link_to(factory: Factory, key: str, name: str, build: BuildOf | None = None) -> Link:
    """Sign a link to an object; one that was made for a build works as long as the build is there."""
    expires_at = factory.now() + LINK_LIFETIME
    token = factory.links.sign(key=key, name=name, expires_at=expires_at, build=build)
    return Link(f"{factory.public_url}/download/{token}/{quote(name, safe='')}", expires_at)
