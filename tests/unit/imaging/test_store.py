"""The content-addressed store and the layer index."""

import asyncio
import hashlib
import stat
from pathlib import Path

import pytest

from activities.imaging.store import LayerIndex, LocalBlobStore, sweep_partial, write_atomically
from domain.artifacts import Blob, Layer
from domain.errors import Fault


def _file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


async def test_adopting_moves_a_file_under_its_digest_read_only(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    source = _file(tmp_path / "layer.tar", b"rootfs")

    blob = await store.adopt(source)

    assert blob == Blob(digest=hashlib.sha256(b"rootfs").hexdigest(), bytes=6)
    assert store.path(blob) == tmp_path / "store" / blob.digest[:2] / blob.digest
    assert store.path(blob).read_bytes() == b"rootfs"
    assert stat.S_IMODE(store.path(blob).stat().st_mode) == 0o444
    assert not source.exists()
    assert store.has(blob)


async def test_many_can_adopt_the_same_bytes_at_once(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    sources = [_file(tmp_path / f"layer-{n}", b"same" * 100_000) for n in range(8)]

    blobs = await asyncio.gather(*(store.adopt(source) for source in sources))

    assert len(set(blobs)) == 1
    assert store.has(blobs[0])
    assert [p.name for p in store.path(blobs[0]).parent.iterdir()] == [blobs[0].digest]
    assert not any(source.exists() for source in sources)


async def test_a_document_added_twice_is_kept_once(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    first, second = await store.add(b"{}"), await store.add(b"{}")
    assert first == second
    assert [p.name for p in store.path(first).parent.iterdir()] == [first.digest]


async def test_a_truncated_blob_is_not_there_and_is_replaced_by_the_next_adoption(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    blob = await store.add(b"whole document")
    store.path(blob).chmod(0o644)
    store.path(blob).write_bytes(b"whole")
    assert not store.has(blob)

    assert await store.adopt(_file(tmp_path / "again", b"whole document")) == blob
    assert store.path(blob).read_bytes() == b"whole document"


async def test_a_file_that_cannot_be_adopted_is_the_factorys_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        await LocalBlobStore(tmp_path).adopt(tmp_path / "absent")
    assert caught.value.code == "store.unwritable"


async def test_the_index_finds_a_recorded_layer(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    index = LayerIndex(tmp_path, store)
    layer = Layer(kind="base", key="ab" * 32, blob=await store.add(b"tar"))

    assert index.find(layer.key) is None
    index.record(layer)
    index.record(layer)
    assert index.find(layer.key) == layer


async def test_a_layer_without_its_blob_is_absent(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    index = LayerIndex(tmp_path, store)
    layer = Layer(kind="base", key="ab" * 32, blob=await store.add(b"tar"))
    index.record(layer)
    store.path(layer.blob).unlink()
    assert index.find(layer.key) is None


def test_a_damaged_record_counts_as_no_layer(tmp_path: Path) -> None:
    index = LayerIndex(tmp_path, LocalBlobStore(tmp_path))
    write_atomically(tmp_path / "layers" / f"{'cd' * 32}.json", b"{half a rec")
    assert index.find("cd" * 32) is None


def test_what_a_dead_worker_had_begun_to_write_is_swept_and_nothing_else(tmp_path: Path) -> None:
    whole = tmp_path / "store" / "6a" / "whole"
    write_atomically(whole, b"whole")
    for folder in ("store/6a", "layers", "assemblies", "solutions", "cache/apt/trixie-amd64/etc"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        _file(tmp_path / folder / ".new-297svw33", b"begun")
    assert sweep_partial(tmp_path) == 5
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [whole]
    assert sweep_partial(tmp_path) == 0
