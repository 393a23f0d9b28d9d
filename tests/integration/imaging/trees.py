"""Small root file systems for the tests of assembling: real tars, with a kernel that nobody starts."""

import io
import tarfile
from pathlib import Path

from activities.imaging.lock import Lock, store_lock
from activities.imaging.models import AssembleInput
from activities.imaging.store import LocalBlobStore
from activities.job import Job
from domain.artifacts import Layer

EPOCH = 1_700_000_000
KERNEL = b"kernel " * 200_000
INITRD = b"initrd " * 100_000
JOB = Job(job_id="0f3a1c9e-0000-4000-8000-000000000002", org_id="acme")
LOCK = Lock(suite="bookworm", arch="amd64", epoch=EPOCH, index="2026-11-22", base=(), packages=(), wanted=())
LIVE = ("usr/lib/live", "usr/lib/live/boot")
FILES: dict[str, bytes] = {
    "boot/vmlinuz-6.1.0-9-amd64": KERNEL,
    "boot/initrd.img-6.1.0-9-amd64": INITRD,
    "etc/hostname": b"tiny\n",
    "usr/lib/live/boot/0001-init-vars.sh": b"#!/bin/sh\n",
    "usr/bin/tool": bytes(range(256)) * 40,
}


class StepNotes:
    """Remembers what a step said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.percents: list[float] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, percent: float, text: str) -> None:
        self.percents.append(percent)


def pack(path: Path, *, without: str = "", linked: str = "") -> Path:
    """Pack the files, less those beginning with `without`; `linked` becomes a link to the root instead of a folder."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for folder in ("", "boot", "dev", "etc", "home", "home/deploy", "usr", "usr/bin", "usr/lib", *LIVE):
            entry = _entry(folder, tarfile.SYMTYPE if folder and folder == linked else tarfile.DIRTYPE)
            entry.linkname = "/tmp"
            entry.mode = 0o755
            tar.addfile(entry)
        for name, data in FILES.items():
            if (without and name.startswith(without)) or (linked and name.startswith(f"{linked}/")):
                continue
            entry = _entry(name, tarfile.REGTYPE)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        _add_oddities(tar)
    return path


def _add_oddities(tar: tarfile.TarFile) -> None:
    mine = _entry("home/deploy/secret", tarfile.REGTYPE)
    mine.uid, mine.gid, mine.mode = 1000, 1001, 0o4750
    tar.addfile(mine, io.BytesIO())
    capable = _entry("usr/bin/ping", tarfile.REGTYPE)
    # cap_net_raw=ep as the kernel keeps it (capabilities(7), revision 2)
    granted = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    capable.pax_headers = {"SCHILY.xattr.security.capability": granted.decode("latin-1")}
    tar.addfile(capable, io.BytesIO())
    hard = _entry("usr/bin/again", tarfile.LNKTYPE)
    hard.linkname = "./usr/bin/tool"
    tar.addfile(hard)
    node = _entry("dev/console", tarfile.CHRTYPE)
    node.devmajor, node.devminor = 5, 1
    tar.addfile(node)


def _entry(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"./{name}" if name else "./")
    entry.type = kind
    entry.mtime = EPOCH - 5
    return entry


async def layer_request(home: Path, store: LocalBlobStore, tar: Path) -> AssembleInput:
    """Store the packed tree as a finished layer of this host, and ask for its images."""
    home.mkdir(parents=True, exist_ok=True)
    copy = home / "layer.tar"
    copy.write_bytes(tar.read_bytes())
    layer = Layer(kind="configuration", key="k" * 64, blob=await store.adopt(copy))
    return AssembleInput(job=JOB, recipe={"name": "tiny-demo"}, lock=await store_lock(store, LOCK), layer=layer)
