"""The writer of qcow2 images, read by QEMU's own program."""

import random
import subprocess
from pathlib import Path

import pytest

from activities.imaging.stages import qcow2

pytestmark = pytest.mark.integration

CLUSTER = 1 << 16
GIB = 1 << 30


def disk(path: Path, size: int, parts: dict[int, bytes]) -> Path:
    """A raw disk with these parts at their offsets, and holes else."""
    with path.open("xb") as file:
        for offset, data in parts.items():
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    return path


def noise(count: int, seed: int = 1) -> bytes:
    """Bytes that cannot be compressed."""
    return random.Random(seed).randbytes(count)


DISKS: dict[str, tuple[int, dict[int, bytes]]] = {
    "nothing but a hole": (10 * CLUSTER, {}),
    "zeros that are written": (10 * CLUSTER, {0: bytes(3 * CLUSTER)}),
    "text": (40 * CLUSTER, {0: b"text " * 300_000}),
    "what cannot be compressed": (40 * CLUSTER, {CLUSTER: noise(20 * CLUSTER)}),
    "both in turn": (300 * CLUSTER, {n * CLUSTER: b"x" * 999 if n % 3 else noise(CLUSTER) for n in range(300)}),
    "a last part of a cluster": (7 * CLUSTER + 512, {7 * CLUSTER: noise(512)}),
    "parts over the edges of clusters": (9 * CLUSTER, {CLUSTER - 7: noise(14), 4 * CLUSTER - 1: b"ab"}),
    "several tables": (3 * GIB, {0: b"first", GIB + 5: noise(3 * CLUSTER), 3 * GIB - 4: b"last"}),
}


@pytest.mark.parametrize("name", DISKS)
def test_an_image_has_the_disks_bytes_and_no_fault(tmp_path: Path, name: str) -> None:
    raw = disk(tmp_path / "raw", *DISKS[name])
    image = tmp_path / "image"

    qcow2.write(raw, image, lambda _: None)

    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", image], check=True)
    subprocess.run(["qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", raw, image], check=True)


def test_the_same_disk_gives_the_same_bytes(tmp_path: Path) -> None:
    raw = disk(tmp_path / "raw", *DISKS["both in turn"])

    for name in ("one", "other"):
        qcow2.write(raw, tmp_path / name, lambda _: None)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_holes_take_no_room_and_progress_comes_to_the_end(tmp_path: Path) -> None:
    raw = disk(tmp_path / "raw", GIB, {0: b"first", GIB - 4: b"last"})
    told: list[float] = []

    qcow2.write(raw, tmp_path / "image", told.append)

    assert (tmp_path / "image").stat().st_size < 10 * CLUSTER
    assert told == sorted(told)
    assert told[-1] > 99
