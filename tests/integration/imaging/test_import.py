"""Uploads as hostile as they come, judged by the real qemu-img."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from activities.imaging.import_image import ImageImporter
from activities.imaging.import_models import ImportInput
from activities.imaging.store import LocalBlobStore
from domain.artifacts import Blob
from domain.errors import Fault, Verdict
from domain.image.inputs import ImageFormat, ImageRequest
from infra.uploads import part_key
from tests.fakes.objects import FakeObjectStore

pytestmark = pytest.mark.integration


class Importing:
    """An importer, and uploads made of bytes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.objects = FakeObjectStore()
        self.store = LocalBlobStore(home)
        self.importer = ImageImporter(home, self.store, self.objects)

    async def take(self, data: bytes, kind: ImageFormat = "qcow2", *, sha256: str = "", size: int = 0) -> int:
        """Upload in two parts and import."""
        await self.importer.discard("image")
        half = len(data) // 2
        self.objects.objects[part_key("image", 0)] = data[:half]
        self.objects.objects[part_key("image", half)] = data[half:]
        request = ImageRequest(
            image_id="image",
            org_id="org",
            requested_by="me",
            name="disk",
            format=kind,
            bytes=size or len(data),
            sha256=sha256 or hashlib.sha256(data).hexdigest(),
        )
        return (await self.importer.take(ImportInput(request=request), lambda _p, _t: None)).virtual_bytes


class Flaky(FakeObjectStore):
    """Gives other bytes than it was given, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        data = await super().get(key, offset=offset, length=length)
        if self.times <= 0:
            return data
        self.times -= 1
        return bytes([data[0] ^ self.times % 255 + 1]) + data[1:]


@pytest.fixture
def importing(tmp_path: Path) -> Importing:
    return Importing(tmp_path)


def qcow2(folder: Path, *options: str, size: str = "64M") -> bytes:
    file = folder / "made.qcow2"
    file.unlink(missing_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, str(file), size], check=True)
    return file.read_bytes()


async def test_a_sound_image_becomes_a_blob_here_and_in_the_object_store(importing: Importing, tmp_path: Path) -> None:
    data = qcow2(tmp_path)
    assert await importing.take(data) == 64 << 20
    assert await importing.take(data) == 64 << 20  # a repeat finds it all there
    digest = hashlib.sha256(data).hexdigest()
    assert importing.store.has(Blob(digest=digest, bytes=len(data)))
    assert importing.objects.objects[f"blobs/{digest}"] == data
    assert await importing.importer.discard("image") == 2
    assert await importing.importer.discard("image") == 0
    assert not list((tmp_path / "tmp").iterdir())


async def test_an_iso_is_known_by_its_volume_descriptor(importing: Importing) -> None:
    assert await importing.take(bytes(0x8001) + b"CD001" + bytes(5000), "iso") == 0x8001 + 5005


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"#!/bin/sh\nrm -rf /\n", "qcow2", "image.not_bootable"),
        (b"QFI\xfb" + b"\xff" * 500, "qcow2", "image.not_bootable"),
        (bytes(100), "iso", "image.not_bootable"),
        (bytes(0x9000), "iso", "image.not_bootable"),
    ],
)
async def test_what_is_no_image_is_rejected(importing: Importing, data: bytes, kind: ImageFormat, code: str) -> None:
    with pytest.raises(Verdict) as rejected:
        await importing.take(data, kind)
    assert rejected.value.code == code


async def test_wrong_bytes_are_rejected(importing: Importing, tmp_path: Path) -> None:
    with pytest.raises(Verdict) as rejected:
        await importing.take(qcow2(tmp_path), sha256="0" * 64)
    assert rejected.value.code == "image.digest_mismatch"
    with pytest.raises(Verdict) as rejected:
        await importing.take(qcow2(tmp_path), size=7)
    assert rejected.value.code == "image.size_mismatch"


async def test_an_image_that_refers_to_a_file_of_the_host_is_rejected(importing: Importing, tmp_path: Path) -> None:
    elsewhere = f"data_file={tmp_path / 'elsewhere.raw'},data_file_raw=on"
    for options in (("-u", "-F", "raw", "-b", "/etc/shadow"), ("-o", elsewhere)):
        with pytest.raises(Verdict) as rejected:
            await importing.take(qcow2(tmp_path, *options))
        assert rejected.value.code == "image.hostile"


async def test_a_disk_of_exabytes_is_rejected(importing: Importing, tmp_path: Path) -> None:
    with pytest.raises(Verdict) as rejected:
        await importing.take(qcow2(tmp_path, "-o", "cluster_size=2M", size="512T"))
    assert rejected.value.code == "image.hostile"


async def test_an_upload_that_was_read_wrongly_is_not_called_wrong(importing: Importing, tmp_path: Path) -> None:
    data = qcow2(tmp_path)
    for times in (1, 2):
        importing.objects = Flaky(times)
        importing.importer = ImageImporter(importing.home, importing.store, importing.objects)
        assert await importing.take(data) == 64 << 20
    importing.objects = Flaky(100)
    importing.importer = ImageImporter(importing.home, importing.store, importing.objects)
    with pytest.raises(Fault) as caught:
        await importing.take(data)
    assert caught.value.code == "image.unreadable"
    assert not list((importing.home / "tmp").iterdir())
