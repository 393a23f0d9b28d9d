"""A tiny guest for the machine tests: a Debian kernel, busybox and the QEMU guest agent in an initramfs.

It boots in seconds under emulation, as a CD-ROM under BIOS and as a disk under UEFI, and does what its
kernel arguments say: `guest=well` runs the agent, `silent` does not, `emergency` asks for the root
password, `panic` lets init end, `powerless` switches itself off, `flood` writes without end.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from domain.artifacts import Artifact, Blob
from infra.process import run

Kind = Literal["iso", "qcow2"]
Behaviour = Literal["well", "silent", "emergency", "panic", "powerless", "flood"]
_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "pvpanic-pci")
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_BUILD_SECONDS = 300.0

_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /var/run
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for module in %(modules)s; do modprobe $module; done
mdev -s
for port in /sys/class/virtio-ports/*; do
  mkdir -p /dev/virtio-ports; ln -s /dev/${port##*/} /dev/virtio-ports/$(cat $port/name)
done
ip link set lo up; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
echo 1 > /proc/sys/kernel/sysrq
echo "Welcome to the test guest"
for word in $(cat /proc/cmdline); do
  case $word in
    guest=well) exec qemu-ga --method=virtio-serial --path=/dev/virtio-ports/org.qemu.guest_agent.0 ;;
    guest=silent) exec sleep 100000 ;;
    guest=emergency) printf "You are in emergency mode.\\nGive root password for maintenance"; exec sleep 100000 ;;
    guest=panic) exit 1 ;;
    guest=powerless) poweroff -f ;;
    guest=flood) exec yes "the same line over and over, until somebody stops it, which nobody in here will ever do" ;;
  esac
done
"""

_GRUB = """serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=0
menuentry guest {{
  linux /live/vmlinuz console=tty0 console=ttyS0,115200 quiet panic=0 guest={behaviour}
  initrd /live/initrd.img
}}
"""


def cache_folder() -> Path:
    """Where the images are kept between test runs."""
    return Path(os.environ.get("OPENFACTORY_TEST_CACHE") or Path(tempfile.gettempdir()) / "openfactory-test-cache")


async def prepare() -> Path:
    """Build kernel and initramfs if they are not cached; answers the folder `live` that holds them."""
    live = cache_folder() / f"guest-{_digest()}" / "live"
    if not (live / "initrd.img").exists():
        await _build(live)
    return live


async def make_artifact(live: Path, behaviour: Behaviour, kind: Kind, store: Path) -> Artifact:
    """Put an image with this behaviour into the blob store at `store`."""
    iso = live.parent / f"{behaviour}.iso"
    if not iso.exists():
        await _make_iso(live, behaviour, iso)
    image = iso
    if kind == "qcow2":
        image = live.parent / f"{behaviour}.qcow2"
        if not image.exists():
            await run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(iso), f"{image}.new"], timeout=60)
            Path(f"{image}.new").rename(image)
    return adopt(image.read_bytes(), kind, store)


def adopt(data: bytes, kind: Kind, store: Path) -> Artifact:
    """Put the bytes of an image into the blob store at `store`."""
    digest = hashlib.sha256(data).hexdigest()
    target = store / digest[:2] / digest
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o444)
    return Artifact(kind=kind, name=f"guest.{kind}", blob=Blob(digest=digest, bytes=target.stat().st_size))


def _digest() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]


async def _make_iso(live: Path, behaviour: Behaviour, iso: Path) -> None:
    with tempfile.TemporaryDirectory(dir=live.parent) as folder:
        tree = Path(folder)
        (tree / "boot/grub").mkdir(parents=True)
        (tree / "live").mkdir()
        (tree / "boot/grub/grub.cfg").write_text(_GRUB.format(behaviour=behaviour), encoding="utf-8")
        for name in ("vmlinuz", "initrd.img"):
            os.link(live / name, tree / "live" / name)
        part = Path(f"{iso}.new")
        await run(["grub-mkrescue", "--locales=", "--fonts=", "-o", str(part), str(tree)], timeout=60)
        part.rename(iso)


async def _build(live: Path) -> None:
    live.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=live.parent) as folder:
        packages, tree = Path(folder) / "packages", Path(folder) / "tree"
        sources = next(path for path in _SOURCES if path.exists())
        include = "--include=linux-image-amd64,qemu-guest-agent,busybox"
        fetch = ["mmdebstrap", "--mode=root", "--variant=extract", include, _suite(), str(packages), str(sources)]
        await run(fetch, timeout=_BUILD_SECONDS, on_line=lambda _line: None)
        await _fill(packages, tree)
        names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
        archive = await run(["cpio", "-o", "-H", "newc", "--quiet"], timeout=60, stdin=names.encode(), cwd=tree)
        packed = await run(["gzip", "-1", "-n"], timeout=60, stdin=archive.stdout)
        shutil.copyfile(next((packages / "boot").glob("vmlinuz-*")), live / "vmlinuz")
        (live / "initrd.new").write_bytes(packed.stdout)
        (live / "initrd.new").rename(live / "initrd.img")


async def _fill(packages: Path, tree: Path) -> None:
    """Make the initramfs's tree: busybox, the agent with its libraries, a few modules, init."""
    (tree / "bin").mkdir(parents=True)
    (tree / "init").write_text(_INIT % {"modules": " ".join(_MODULES)}, encoding="utf-8")
    (tree / "init").chmod(0o755)
    busybox = next(path for path in (packages / "bin/busybox", packages / "usr/bin/busybox") if path.exists())
    shutil.copy(busybox, tree / "bin/busybox")
    shutil.copy(packages / "usr/sbin/qemu-ga", tree / "bin/qemu-ga")
    _libraries(packages, tree)
    modules = next(path for path in packages.glob("usr/lib/modules/*" if _merged(packages) else "lib/modules/*"))
    await _copy_modules(modules, tree)


def _merged(packages: Path) -> bool:
    return (packages / "usr/lib/modules").is_dir()


def _libraries(packages: Path, tree: Path) -> None:
    """Copy what the programs are linked to, and what that is linked to: the names are text in the files."""
    found = {
        path.name: path
        for pattern in ("lib", "usr/lib")
        for path in packages.glob(f"{pattern}/x86_64-linux-gnu/lib*.so*")
    }
    wanted, seen = [tree / "bin/qemu-ga", tree / "bin/busybox"], set[str]()
    target = tree / "lib/x86_64-linux-gnu"
    target.mkdir(parents=True)
    while wanted:
        data = wanted.pop().read_bytes()
        for name, path in found.items():
            if name not in seen and b"\0" + name.encode() + b"\0" in data:
                seen.add(name)
                shutil.copy(path, target / name)
                wanted.append(target / name)
    loader = next(path for path in packages.glob("**/ld-linux-x86-64.so.2") if path.exists())
    (tree / "lib64").mkdir()
    shutil.copy(loader, tree / "lib64/ld-linux-x86-64.so.2")


async def _copy_modules(modules: Path, tree: Path) -> None:
    target = tree / "lib/modules" / modules.name
    target.mkdir(parents=True)
    for part in ("kernel/drivers/virtio", "kernel/drivers/misc/pvpanic"):
        shutil.copytree(modules / part, target / part)
    wanted = ("virtio_blk", "virtio_net", "virtio_console", "virtio-rng", "net_failover", "failover", "rng-core")
    for path in sorted((modules / "kernel").rglob("*.ko*")):
        if path.name.split(".")[0] in wanted:
            place = target / path.relative_to(modules)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    await run(["busybox", "depmod", "-b", str(tree), modules.name], timeout=30)


def _suite() -> str:
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("VERSION_CODENAME="))
