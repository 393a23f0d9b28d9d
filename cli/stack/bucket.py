"""Makes the bucket unless it is there: `python -m cli.stack.bucket`, run once at each start."""

import asyncio
import logging
import sys

from domain.errors import FactoryError
from infra import settings as configuration
from infra.objects import S3ObjectStore
from infra.telemetry import configure_logging

_log = logging.getLogger(__name__)


async def make_bucket() -> None:
    """Make the bucket of the configured object store; harmless to repeat.

    Raises:
        FactoryError: it refuses, or does not answer.

    """
    s3 = configuration.load().s3
    if s3 is None:
        return
    objects = S3ObjectStore(s3)
    try:
        await objects.ensure_bucket()
    finally:
        await objects.aclose()


def main() -> int:
    """Make it; the exit status tells if that worked."""
    configure_logging("bucket")
    try:
        asyncio.run(make_bucket())
    except FactoryError as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
