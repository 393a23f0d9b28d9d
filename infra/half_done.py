"""Uploads by parts that somebody began and nobody will end: their parts stay until the upload is aborted.

A program that is killed aborts nothing, nor does one whose store is away. `minio` has these calls under private names
only; they are called here and nowhere else.

What SeaweedFS does otherwise than Amazon S3 (4.48): it never gives up an upload by itself. It lists by upload id and
not by key, names the next page by the id alone, and takes a `key-marker` without an id for the only key that is wanted.
It says that keys are URL-encoded and does not encode them, so `minio` reads `+` as a blank; no key of ours has one, and
it aborts by the id alone. To abort an upload that is not there is no error.
"""

# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

from minio import Minio
from minio.datatypes import Upload
from minio.error import S3Error

from infra.ports import ObjectInfo

PAGE = 1000
_MOST_PARTS = 10_000  # of one upload; Amazon tells at most 1,000 at once, and the size is then too small
_GONE = "NoSuchUpload"


def abort_uploads(client: Minio, bucket: str, prefix: str, before: datetime, *, dry_run: bool) -> list[ObjectInfo]:
    """Abort what was begun before a time, or only tell it: key, bytes of its parts, and when it was begun.

    One whose age the store does not tell counts as new.
    """
    told: list[ObjectInfo] = []
    for upload in _begun(client, bucket, prefix):
        begun = upload.initiated_time
        if begun is None or begun >= before or not upload.upload_id:
            continue
        with _ended_meanwhile():
            size = _size(client, bucket, upload.object_name, upload.upload_id)
            if not dry_run:
                client._abort_multipart_upload(bucket, upload.object_name, upload.upload_id)
            told.append(ObjectInfo(key=upload.object_name, bytes=size, modified=begun.astimezone(UTC)))
    return told


def _begun(client: Minio, bucket: str, prefix: str) -> Generator[Upload]:
    key: str | None = None
    after: str | None = None
    while True:
        page = client._list_multipart_uploads(
            bucket, prefix=prefix, max_uploads=PAGE, key_marker=key, upload_id_marker=after
        )
        yield from page.uploads
        if not page.is_truncated or not page.uploads:
            return
        # The client loses the marker of the next id; it is that of the last one here.
        key, after = page.next_key_marker, page.uploads[-1].upload_id


def _size(client: Minio, bucket: str, key: str, upload_id: str) -> int:
    found = client._list_parts(bucket, key, upload_id, max_parts=_MOST_PARTS)
    return sum(part.size or 0 for part in found.parts)


@contextmanager
def _ended_meanwhile() -> Generator[None]:
    try:
        yield
    except S3Error as error:
        if error.code != _GONE:
            raise
