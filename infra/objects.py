"""The S3 adapter of `infra.ports.ObjectStore`, on the blocking `minio` client in bounded thread pools."""

import asyncio
import base64
import hashlib
import io
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from urllib3.response import BaseHTTPResponse

from domain.errors import Fault, Verdict
from infra import half_done
from infra.ports import ObjectInfo
from infra.settings import S3Settings

T = TypeVar("T")

_SMALL_CALLS = 8
_UPLOADS = 2
_PART_BYTES = 16 << 20  # one part is in memory per upload; S3's 10,000 parts then hold 160 GB
_SMALLEST_PART = 5 << 20
_CHUNK_BYTES = 1 << 20
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 60.0
_RETRIES = 2
_NOT_FOUND = frozenset({"NoSuchKey", "NoSuchObject", "NotFound", "404", "ResourceNotFound"})
_BEYOND_END = frozenset({"InvalidRange", "416"})
_BUCKET_EXISTS = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


class S3ObjectStore:
    """A bucket of an S3 service. Made without connecting; `ensure_bucket` once, then use; `aclose` at the end.

    Small calls and uploads have their own threads, so a slow upload never delays a log flush.
    """

    def __init__(self, settings: S3Settings) -> None:
        url = urlsplit(settings.endpoint)
        self._bucket = settings.bucket
        self._endpoint = settings.endpoint
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            maxsize=_SMALL_CALLS + _UPLOADS,
            retries=urllib3.Retry(total=_RETRIES, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)),
        )
        self._client = Minio(
            url.netloc,
            access_key=settings.access_key,
            secret_key=settings.secret_key.get_secret_value(),
            secure=url.scheme == "https",
            region=settings.region,
            http_client=self._http,
        )
        self._small = ThreadPoolExecutor(_SMALL_CALLS, thread_name_prefix="objects")
        self._uploads = ThreadPoolExecutor(_UPLOADS, thread_name_prefix="uploads")

    async def aclose(self) -> None:
        """Take no more work and drop the connections; running calls end by their timeouts."""
        self._small.shutdown(wait=False, cancel_futures=True)
        self._uploads.shutdown(wait=False, cancel_futures=True)
        self._http.clear()

    async def ensure_bucket(self) -> None:
        """Make the bucket unless it is there."""

        def make() -> None:
            if self._client.bucket_exists(self._bucket):
                return
            try:
                self._client.make_bucket(self._bucket)
            except S3Error as error:
                if error.code not in _BUCKET_EXISTS:
                    raise

        await self._call(make)

    async def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write a small object; writing the same again is harmless.

        The store is told the digest and refuses other bytes (Amazon S3, "Checking object integrity"): nobody would
        look at them until they are wanted, and what was written is gone by then.
        """
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()

        def write() -> None:
            self._client.put_object(
                self._bucket,
                key,
                io.BytesIO(data),
                len(data),
                content_type=content_type,
                metadata={"x-amz-checksum-sha256": digest},
                part_size=max(len(data), _SMALLEST_PART),  # in one piece: the digest is of all of it
            )

        await self._call(write)

    async def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """Write a file of any size in parts of 16 MiB; a cancelled call stops after the part it is at."""
        stopped = threading.Event()

        def upload() -> None:
            size = path.stat().st_size
            with path.open("rb") as file:
                self._client.put_object(
                    self._bucket,
                    key,
                    cast("BinaryIO", _Stoppable(file, stopped)),
                    size,
                    content_type=content_type,
                    part_size=_PART_BYTES if size > _PART_BYTES else 0,
                    num_parallel_uploads=1,
                )

        try:
            await self._call(upload, key=key, pool=self._uploads)
        finally:
            stopped.set()

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Read a small object or a part of one; what lies beyond its end is empty."""
        return b"".join([chunk async for chunk in self.stream(key, offset=offset, length=length)])

    async def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """Read an object in chunks of up to 1 MiB; what lies beyond its end is empty."""
        if length == 0:
            await self._must_exist(key)
            return
        response = await self._open(key, offset, length)
        if response is None:
            return
        try:
            while chunk := await self._call(partial(response.read, _CHUNK_BYTES), key=key):
                yield chunk
        finally:
            # Closing waits for a read that is still going on in its thread, so it is done in a thread too.
            with suppress(RuntimeError):
                self._small.submit(_release, response)

    async def stat(self, key: str) -> ObjectInfo | None:
        """Tell an object's size and version, or nothing if there is none."""
        try:
            found = await self._call(partial(self._client.stat_object, self._bucket, key), key=key)
        except Verdict:
            return None
        info = _info(key, found.size, found.last_modified)
        return info.model_copy(update={"version": f"{found.etag} {info.modified.isoformat()}"})

    async def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[ObjectInfo, ...]:
        """List objects in key order, beginning behind the key `after`.

        SeaweedFS sorts folder by folder (`a/b` before `a-b`): do not rely on the order of keys of which
        one continues another's folder name.
        """

        def names() -> tuple[ObjectInfo, ...]:
            found = self._client.list_objects(self._bucket, prefix=prefix, recursive=True, start_after=after or None)
            files = (o for o in found if o.object_name and not o.is_dir)
            return tuple(_info(o.object_name or "", o.size, o.last_modified) for o in islice(files, limit))

        return await self._call(names)

    async def delete(self, key: str) -> None:
        """Remove an object; removing one that is not there is harmless."""
        with suppress(Verdict):
            await self._call(partial(self._client.remove_object, self._bucket, key), key=key)

    async def abort_uploads(self, prefix: str, *, before: datetime, dry_run: bool = False) -> tuple[ObjectInfo, ...]:
        """Give up uploads by parts that were begun before a time and not ended; tell each, and what its parts take."""
        abort = partial(half_done.abort_uploads, self._client, self._bucket, prefix, before, dry_run=dry_run)
        return tuple(await self._call(abort))

    async def _open(self, key: str, offset: int, length: int | None) -> BaseHTTPResponse | None:
        """Begin to read; nothing if `offset` lies beyond the end."""

        def begin() -> BaseHTTPResponse | None:
            try:
                return self._client.get_object(self._bucket, key, offset=offset, length=length or 0)
            except S3Error as error:
                if error.code in _BEYOND_END:
                    return None
                raise

        return await self._call(begin, key=key)

    async def _must_exist(self, key: str) -> None:
        if await self.stat(key) is None:
            raise _not_found(key)

    async def _call(self, work: Callable[[], T], *, key: str = "", pool: ThreadPoolExecutor | None = None) -> T:
        def guarded() -> T:
            with _typed_errors(self._endpoint, key):
                return work()

        return await asyncio.get_running_loop().run_in_executor(pool or self._small, guarded)


class _Stoppable:
    """Reads a file until told to stop; the client, which only reads, then gives up the whole upload."""

    def __init__(self, file: BinaryIO, stopped: threading.Event) -> None:
        self._file = file
        self._stopped = stopped

    def read(self, size: int = -1) -> bytes:
        if self._stopped.is_set():
            raise InterruptedError("the upload was cancelled")
        return self._file.read(size)


def _info(key: str, size: int | None, modified: datetime | None) -> ObjectInfo:
    """Tell of an object; one whose age the store does not say counts as new."""
    return ObjectInfo(key=key, bytes=size or 0, modified=modified or datetime.now(UTC))


def _release(response: BaseHTTPResponse) -> None:
    response.close()
    response.release_conn()


def _not_found(key: str) -> Verdict:
    return Verdict.because("object.not_found", f"there is no object {key}", value=key)


def _unavailable(endpoint: str, reason: str) -> Fault:
    message = f"the object store at {endpoint} did not do it: {reason}"
    advice = "Look at the object store; the work goes on by itself once it answers."
    return Fault.because("objects.unavailable", message, next=advice)


@contextmanager
def _typed_errors(endpoint: str, key: str) -> Generator[None]:
    try:
        yield
    except S3Error as error:
        if key and error.code in _NOT_FOUND:
            raise _not_found(key) from error
        raise _unavailable(endpoint, f"{error.code}: {error.message}") from error
    except (MinioException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
        raise _unavailable(endpoint, str(error)) from error
