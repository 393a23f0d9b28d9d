"""GRUB without grub-install: its configurations, its images' modules, and the bytes that tie them together.

Offsets are those of GRUB 2's `include/grub/i386/pc/boot.h` and `grub-core/boot/i386/pc/diskboot.S`;
grub-install writes the same values, but wants a block device and a mounted system.
"""

import re
import struct
from collections.abc import Iterable
from uuid import UUID

from domain.errors import Verdict
from domain.model import Value

CONSOLE = "console=tty0 console=ttyS0,115200"  # the last is /dev/console, so a machine without a screen is heard
LIVE = "boot=live components=none"  # live-boot(7); no live-config component touches what the recipe says

_COMMON = (
    *("normal", "configfile", "linux", "search", "search_fs_uuid", "search_fs_file", "part_gpt", "part_msdos"),
    *("serial", "terminal", "all_video", "echo", "test", "sleep", "ls", "cat", "reboot", "halt"),
)
DISK_MODULES = {
    "i386-pc": (*_COMMON, "biosdisk", "ext2"),
    "x86_64-efi": (*_COMMON, "ext2", "fat"),
}
LIVE_MODULES = {
    "i386-pc-eltorito": (*_COMMON, "biosdisk", "iso9660"),
    "x86_64-efi": (*_COMMON, "iso9660", "fat"),
}

BOOT_CODE_BYTES = 440  # up to the disk signature of the MBR
_SECTOR = 512
_KERNEL_SECTOR = 0x5C
_BOOT_DRIVE = 0x64
_DRIVE_CHECK = 0x66
_BLOCK_LIST = _SECTOR - 12
_NOPS = b"\x90\x90"
_KERNEL = re.compile(r"vmlinuz-([A-Za-z0-9.+~_-]+)")


class Kernel(Value):
    """A kernel in /boot; its initramfs is the one of the same release."""

    release: str

    @property
    def image(self) -> str:
        """The kernel's file name in /boot."""
        return f"vmlinuz-{self.release}"

    @property
    def initrd(self) -> str:
        """The initramfs's file name in /boot."""
        return f"initrd.img-{self.release}"


def newest_kernel(names: Iterable[str]) -> Kernel:
    """Choose the newest kernel among the files of /boot, by its numbers.

    Raises:
        Verdict: `image.no_kernel`, when none is there, or the chosen one lacks its initramfs.

    """
    present = frozenset(names)
    releases = [m[1] for name in present if (m := _KERNEL.fullmatch(name))]
    if not releases:
        raise _no_kernel("there is no kernel in the image's /boot")
    kernel = Kernel(release=max(releases, key=_by_numbers))
    if kernel.initrd not in present:
        raise _no_kernel(f"the kernel {kernel.release} has no initramfs in the image's /boot")
    return kernel


def _by_numbers(release: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", release) if part)


def _no_kernel(message: str) -> Verdict:
    return Verdict.because(
        "image.no_kernel",
        message,
        path="packages",
        next="Let the recipe install a kernel package such as linux-image-amd64.",
    )


def disk_start(root_id: UUID) -> str:
    """What GRUB's core image on a disk does first: find the root file system, and the menu on it."""
    return (
        f"search --no-floppy --fs-uuid --set=root {root_id}\n"
        "set prefix=($root)/boot/grub\n"
        "configfile $prefix/grub.cfg\n"
    )


def live_start(marker: str) -> str:
    """What GRUB's core image on a live medium does first: find the medium by the file at `marker`."""
    return f"search --no-floppy --file --set=root {marker}\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"


def disk_menu(title: str, kernel: Kernel, root_id: UUID) -> str:
    """The menu of a disk image.

    It prefers /vmlinuz and /initrd.img, the links that Debian's kernel packages turn to the newest
    kernel, so a kernel upgrade inside the machine needs no GRUB tools there.
    """
    options = f"root=UUID={root_id} ro {CONSOLE}"
    return _HEAD + (
        f"menuentry '{title}' {{\n"
        "  if [ -e /vmlinuz -a -e /initrd.img ]; then\n"
        f"    linux /vmlinuz {options}\n"
        "    initrd /initrd.img\n"
        "  else\n"
        f"    linux /boot/{kernel.image} {options}\n"
        f"    initrd /boot/{kernel.initrd}\n"
        "  fi\n"
        "}\n"
    )


def live_menu(title: str) -> str:
    """The menu of a live medium."""
    return _HEAD + (
        f"menuentry '{title} (live)' {{\n  linux /live/vmlinuz {LIVE} {CONSOLE}\n  initrd /live/initrd\n}}\n"
    )


# A machine without a serial port keeps its screen: each failing line is skipped by GRUB.
_HEAD = """\
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=1
set default=0

"""


def boot_sector(image: bytes, core_sector: int) -> bytes:
    """Make GRUB's `boot.img` load the core image at `core_sector`; answers the MBR's 440 bytes of code.

    The boot drive 0xff means the one that the BIOS started from, and the check for a drive number
    that some BIOSes get wrong is skipped, as grub-install does for hard disks.
    """
    sector = bytearray(_whole_sector(image, "boot.img"))
    struct.pack_into("<Q", sector, _KERNEL_SECTOR, core_sector)
    sector[_BOOT_DRIVE] = 0xFF
    sector[_DRIVE_CHECK : _DRIVE_CHECK + len(_NOPS)] = _NOPS
    return bytes(sector[:BOOT_CODE_BYTES])


def core_image(image: bytes, core_sector: int, sectors: int) -> bytes:
    """Make a core image that lies in one piece from `core_sector` load the rest of itself.

    Its first sector ends with a list of blocks: start (64 bits), length (16 bits), segment (16 bits).
    grub-mkimage has filled in all but the start.

    Raises:
        ValueError: when the image does not fit into `sectors`.

    """
    if len(image) > sectors * _SECTOR:
        raise ValueError(f"GRUB's core image has {len(image)} bytes, more than {sectors} sectors hold")
    core = bytearray(image)
    _whole_sector(core[:_SECTOR], "core.img")
    struct.pack_into("<Q", core, _BLOCK_LIST, core_sector + 1)
    return bytes(core)


def _whole_sector(image: bytes | bytearray, name: str) -> bytes | bytearray:
    if len(image) != _SECTOR:
        raise ValueError(f"GRUB's {name} begins with {len(image)} bytes where a sector of {_SECTOR} belongs")
    return image
