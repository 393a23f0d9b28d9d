"""A tiny guest for tests of virtual machines: a Debian kernel, busybox and the QEMU guest agent in an initramfs.

It boots in seconds under emulation, as a CD-ROM or as a disk, under BIOS (192 MiB) and under UEFI (512 MiB), asks
DHCP for an address on each of its network cards, switches itself off when its agent is told to, and does what its
kernel arguments say: `guest=well` runs the agent,
`ssh` runs an SSH server instead (root, with the key of `ssh_key`), `silent` neither, `emergency` asks for
the root password, `panic` lets init end, `powerless` switches itself off, `flood` writes without end.

`tiny_guest` answers the file of an image, `upload` puts one into an object store. Images are built once and
kept in `~/.cache/openfactory-tests` or where `OPENFACTORY_TEST_CACHE` says.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Literal

from domain.vm.spec import ImageRef
from infra.ports import ObjectStore
from infra.process import run

Kind = Literal["iso", "qcow2"]
Behaviour = Literal["well", "ssh", "silent", "emergency", "panic", "powerless", "flood"]
WELCOME = "Welcome to the test guest"
_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "pvpanic-mmio")
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_BUILD_SECONDS = 300.0

_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /var/run /root
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts; mount -t devpts pts /dev/pts
for module in %(modules)s; do modprobe $module; done
mdev -s
for port in /sys/class/virtio-ports/*; do
  mkdir -p /dev/virtio-ports; ln -s /dev/${port##*/} /dev/virtio-ports/$(cat $port/name)
done
ip link set lo up
for card in /sys/class/net/eth*; do
  ip link set ${card##*/} up; udhcpc -i ${card##*/} -b -t 3 -T 1 -S -s /bin/lease
done
echo 1 > /proc/sys/kernel/sysrq
echo "%(welcome)s"
for word in $(cat /proc/cmdline); do
  case $word in
    guest=well) exec qemu-ga --method=virtio-serial --path=/dev/virtio-ports/org.qemu.guest_agent.0 ;;
    guest=ssh) exec dropbear -F -E -R -s ;;
    guest=silent) exec sleep 100000 ;;
    guest=emergency) printf "You are in emergency mode.\\nGive root password for maintenance"; exec sleep 100000 ;;
    guest=panic) exit 1 ;;
    guest=powerless) poweroff -f ;;
    guest=flood) exec yes "the same line over and over, until somebody stops it, which nobody in here will ever do" ;;
  esac
done
"""

# What udhcpc tells of a lease, put to use (busybox, networking/udhcp). Only the first card gets the default route.
_LEASE = """#!/bin/busybox sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev $interface
ip addr add $ip/$mask dev $interface
for router in $router; do ip route | grep -q ^default || ip route add default via $router dev $interface; done
[ -n "$hostname" ] && hostname $hostname
for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done
[ -n "$search$domain" ] && echo "search ${search:-$domain}" >> /etc/resolv.conf
exit 0
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


async def tiny_guest(behaviour: Behaviour = "well", kind: Kind = "qcow2") -> Path:
    """The file of an image with this behaviour, built unless it is cached."""
    folder = cache_folder() / f"guest-{_digest()}"
    image = folder / f"{behaviour}.{kind}"
    if not image.exists():
        async with _alone(folder):
            if not image.exists():
                await _make(folder, behaviour, kind)
    return image


def image_ref(path: Path, kind: Kind = "qcow2") -> ImageRef:
    """Refer to the image in `path` as an uploaded one."""
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return ImageRef(digest=digest, bytes=len(data), format=kind, source="image", source_id="tiny", name=path.name)


async def upload(objects: ObjectStore, behaviour: Behaviour = "well", kind: Kind = "qcow2") -> ImageRef:
    """Put an image into the object store, where a host finds it."""
    path = await tiny_guest(behaviour, kind)
    ref = image_ref(path, kind)
    await objects.put_file(f"blobs/{ref.digest}", path)
    return ref


async def ssh_key() -> Path:
    """The private key that the `ssh` guest lets in as root."""
    folder = cache_folder() / f"guest-{_digest()}"
    if not (folder / "key").exists():
        async with _alone(folder):
            await _make_key(folder)
    return folder / "key"


def cache_folder() -> Path:
    """Where the images are kept between test runs."""
    return Path(os.environ.get("OPENFACTORY_TEST_CACHE") or Path.home() / ".cache" / "openfactory-tests")


@contextlib.asynccontextmanager
async def _alone(folder: Path) -> AsyncGenerator[None]:
    """Let one process at a time build in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


def _digest() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]


async def _make(folder: Path, behaviour: Behaviour, kind: Kind) -> None:
    if not (folder / "initrd.img").exists():
        await _make_key(folder)
        await _build(folder)
    iso = folder / f"{behaviour}.iso"
    if not iso.exists():
        await _make_iso(folder, behaviour, iso)
    if kind == "qcow2":
        part = folder / f"{behaviour}.new"
        await run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(iso), str(part)], timeout=60)
        part.rename(folder / f"{behaviour}.qcow2")


async def _make_key(folder: Path) -> None:
    if not (folder / "key").exists():
        await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(folder / "key")], timeout=30)


async def _make_iso(folder: Path, behaviour: Behaviour, iso: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        tree = Path(temporary)
        (tree / "boot/grub").mkdir(parents=True)
        (tree / "live").mkdir()
        (tree / "boot/grub/grub.cfg").write_text(_GRUB.format(behaviour=behaviour), encoding="utf-8")
        for name in ("vmlinuz", "initrd.img"):
            os.link(folder / name, tree / "live" / name)
        part = Path(f"{iso}.new")
        await run(["grub-mkrescue", "--locales=", "--fonts=", "-o", str(part), str(tree)], timeout=60)
        part.rename(iso)


async def _build(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        packages, tree = Path(temporary) / "packages", Path(temporary) / "tree"
        sources = next(path for path in _SOURCES if path.exists())
        include = "--include=linux-image-amd64,qemu-guest-agent,busybox,dropbear-bin"
        fetch = ["mmdebstrap", "--mode=root", "--variant=extract", include, _suite(), str(packages), str(sources)]
        await run(fetch, timeout=_BUILD_SECONDS, on_line=lambda _line: None)
        await _fill(packages, tree, (folder / "key.pub").read_text(encoding="utf-8"))
        names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
        archive = await run(["cpio", "-o", "-H", "newc", "--quiet"], timeout=60, stdin=names.encode(), cwd=tree)
        packed = await run(["gzip", "-1", "-n"], timeout=60, stdin=archive.stdout)
        shutil.copyfile(next((packages / "boot").glob("vmlinuz-*")), folder / "vmlinuz")
        (folder / "initrd.new").write_bytes(packed.stdout)
        (folder / "initrd.new").rename(folder / "initrd.img")


async def _fill(packages: Path, tree: Path, public_key: str) -> None:
    """Make the initramfs's tree: busybox, agent and SSH server with their libraries, a few modules, init."""
    (tree / "bin").mkdir(parents=True)
    busybox = next(path for path in (packages / "bin/busybox", packages / "usr/bin/busybox") if path.exists())
    programs = (busybox, packages / "usr/sbin/qemu-ga", packages / "usr/sbin/dropbear")
    for program in programs:
        shutil.copy(program, tree / "bin" / program.name)
    _libraries(packages, tree, [tree / "bin" / program.name for program in programs])
    (tree / "root/.ssh").mkdir(parents=True)
    (tree / "root").chmod(0o700)
    files = {
        "init": (_INIT % {"modules": " ".join(_MODULES), "welcome": WELCOME}, 0o755),
        "bin/lease": (_LEASE, 0o755),
        "sbin/shutdown": ("#!/bin/busybox sh\nexec /bin/busybox poweroff -f\n", 0o755),
        "etc/passwd": ("root:x:0:0:root:/root:/bin/sh\n", 0o644),
        "etc/group": ("root:x:0:\n", 0o644),
        "etc/shadow": ("root:*:19000:0:99999:7:::\n", 0o600),
        "etc/shells": ("/bin/sh\n", 0o644),
        "etc/hosts": ("127.0.0.1 localhost\n", 0o644),
        "etc/dropbear/.keep": ("", 0o644),
        "root/.ssh/authorized_keys": (public_key, 0o600),
    }
    for name, (text, mode) in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")
        (tree / name).chmod(mode)
    merged = (packages / "usr/lib/modules").is_dir()
    await _copy_modules(next(packages.glob("usr/lib/modules/*" if merged else "lib/modules/*")), tree)


def _libraries(packages: Path, tree: Path, programs: list[Path]) -> None:
    """Copy what the programs are linked to, and what that is linked to: the names are text in the files."""
    found = {
        path.name: path
        for pattern in ("lib", "usr/lib")
        for path in packages.glob(f"{pattern}/x86_64-linux-gnu/lib*.so*")
    }
    wanted, seen = list(programs), set[str]()
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
