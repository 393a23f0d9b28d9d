"""What a job's workflow did, run by run: links to the histories that the factory has kept of closed runs."""

from domain.artifacts import DownloadLink
from infra.signed_links import BuildOf
from service.factory import Factory
from service.links import link_to

_MOST = 10  # the newest
_ENDING = ".json.gz"
_STARTED = len("20300101T000000")
_DIGEST = 64


async def kept_histories(factory: Factory, workflow_id: str, build: BuildOf | None = None) -> tuple[DownloadLink, ...]:
    """Link to the history of each run that is over, the oldest first; a run is kept some minutes after it has closed.

    Each is compressed JSON as `openfactory replay` reads it; its key holds its SHA-256.

    Raises:
        Fault: `objects.unavailable`.

    """
    prefix = f"histories/{workflow_id}/"
    links: list[DownloadLink] = []
    for info in (await factory.objects.list(prefix))[-_MOST:]:
        run = info.key.removeprefix(prefix)
        name = f"history-{run[:_STARTED]}{_ENDING}"
        link = link_to(factory, info.key, name, build)
        links.append(
            DownloadLink(
                kind="history",
                name=name,
                bytes=info.bytes,
                sha256=run.removesuffix(_ENDING)[-_DIGEST:],
                verification="unverified",
                url=link.url,
                expires_at=link.expires_at,
            )
        )
    return tuple(links)
