"""A root file system becomes a qcow2 disk image that starts under BIOS and UEFI.

No loop device, no mount of the image and no grub-install: every tool writes at its offset of one sparse
file. Run as a stage (see `frame`) with a `DiskPlan`.
"""

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from activities.imaging import boot_loader, disk_layout
from activities.imaging.assembly_plans import DiskPlan
from activities.imaging.disk_layout import BLOCK, DiskLayout, RootSize
from activities.imaging.identifiers import fat_serial, image_uuid
from activities.imaging.stages import image_tree, qcow2, rootfs_tree
from activities.imaging.stages.frame import Stage, main

_GRUB = Path("/usr/lib/grub")
_FREE_INODES = re.compile(r"^\s+Free inodes: ?(.*)$", re.MULTILINE)
_GROUP = re.compile(r"Inodes per group:\s+(\d+)")
_FIRST_INODE = 11  # lost+found, the first that is not reserved (ext4(5))
_ROOT_INODE = 2


async def make(plan: DiskPlan, stage: Stage) -> None:
    """Make `plan.output`."""
    file_system = image_uuid(plan.digest, "root file system")
    stage.progress(0, "unpacking the root file system")
    root = await image_tree.unpack(plan, stage)
    raw = root.parent / "disk.raw"
    _add_disk_files(plan, root, file_system)
    size = disk_layout.root_size(rootfs_tree.measure(root))
    layout = disk_layout.layout(plan.digest, size)
    stage.line(f"A disk of {layout.bytes / 1e9:.2f} GB, root with {size.inodes} inodes.")
    stage.progress(40, "laying out the disk")
    await _partition(raw, layout, stage)
    async with asyncio.TaskGroup() as group:
        group.create_task(_boot_code(plan, raw, stage))
        group.create_task(_root(plan, root, raw, size, stage))
    await _compress(raw, plan.output, stage)


def _add_disk_files(plan: DiskPlan, root: Path, file_system: UUID) -> None:
    kernel = boot_loader.newest_kernel(rootfs_tree.names_in(root, "boot"))
    files = {
        "boot/grub/grub.cfg": boot_loader.disk_menu(plan.title, kernel, file_system),
        # The root claims what an enlarged disk offers: systemd-repart(8) its partition, x-systemd.growfs the rest.
        "etc/repart.d/50-root.conf": "[Partition]\nType=root\n",
        "etc/fstab": f"UUID={file_system} / ext4 defaults,errors=remount-ro,x-systemd.growfs 0 1\n",
    }
    for path, text in files.items():
        rootfs_tree.place(root, path, text.encode(), epoch=plan.epoch)


async def _partition(raw: Path, layout: DiskLayout, stage: Stage) -> None:
    with raw.open("xb") as file:
        file.truncate(layout.bytes)
    await stage.run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", raw, stdin=layout.sfdisk_script.encode())


async def _boot_code(plan: DiskPlan, raw: Path, stage: Stage) -> None:
    start = plan.work / "start.cfg"
    start.write_text(boot_loader.disk_start(image_uuid(plan.digest, "root file system")))
    core = plan.work / "core.img"
    efi = plan.work / "BOOTX64.EFI"
    for target, output in (("i386-pc", core), ("x86_64-efi", efi)):
        await stage.grub_image(target, start, output, boot_loader.DISK_MODULES[target])
    await _efi_partition(raw, efi, fat_serial(plan.digest, "esp"), stage)
    first, count = disk_layout.BIOS_START, disk_layout.BIOS_SECTORS
    _write_at(raw, 0, boot_loader.boot_sector((_GRUB / "i386-pc/boot.img").read_bytes(), first))
    _write_at(raw, first * disk_layout.SECTOR, boot_loader.core_image(core.read_bytes(), first, count))


async def _efi_partition(raw: Path, efi: Path, serial: str, stage: Stage) -> None:
    kib = disk_layout.ESP_SECTORS * disk_layout.SECTOR // 1024
    await stage.run(
        *("mkfs.vfat", "--invariant", "-F", "32", "-s", "1", "-n", "ESP", "-i", serial),
        *("--offset", str(disk_layout.ESP_START), raw, str(kib)),
    )
    volume = f"{raw}@@{disk_layout.ESP_START * disk_layout.SECTOR}"
    await stage.run("mmd", "-i", volume, "::/EFI", "::/EFI/BOOT")
    await stage.run("mcopy", "-m", "-i", volume, efi, "::/EFI/BOOT/BOOTX64.EFI")


async def _root(plan: DiskPlan, root: Path, raw: Path, size: RootSize, stage: Stage) -> None:
    file_system = image_uuid(plan.digest, "root file system")
    hash_seed = image_uuid(plan.digest, "root hash seed")
    offset = disk_layout.ROOT_START * disk_layout.SECTOR
    extended = f"offset={offset},hash_seed={hash_seed},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,nodiscard"
    await stage.run(
        *("mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-U", str(file_system)),
        # Whatever this host's mke2fs.conf says: GRUB cannot read the first of these, older kernels not the second.
        *("-O", "^metadata_csum_seed,^orphan_file"),
        *("-b", str(BLOCK), "-N", str(size.inodes), "-m", "1", "-e", "remount-ro"),
        *("-E", extended, "-d", root, raw, str(size.blocks)),
    )
    stage.progress(55, "fixing the times")
    await _fix_times(plan, f"{raw}?offset={offset}", stage)


async def _fix_times(plan: DiskPlan, device: str, stage: Stage) -> None:
    """Set what mke2fs copies from the unpacked tree but no program can set there: when each inode last changed."""
    # From 1.47.1 on dumpe2fs wants a file of this whole name to be there, and then opens the part before the `?`.
    Path(device).touch()
    used = used_inodes(await stage.ask("dumpe2fs", device))
    Path(device).unlink()
    script = plan.work / "times.debugfs"
    fields = ("ctime", "atime")
    script.write_text("".join(f"set_inode_field <{n}> {f} @{plan.epoch}\n" for n in used for f in fields))

    def unless_echo(line: str) -> None:
        if not line.startswith("debugfs"):
            stage.line(line)

    await stage.run("debugfs", "-w", "-f", script, device, on_line=unless_echo)


def used_inodes(dump: str) -> Iterator[int]:
    """Read from dumpe2fs(8) which inodes are in use, the reserved ones left out."""
    match = _GROUP.search(dump)
    if match is None:
        raise OSError("dumpe2fs did not say how many inodes a group has")
    size = int(match[1])
    free: set[int] = set()
    groups = _FREE_INODES.findall(dump)
    for ranges in groups:
        for part in filter(None, ranges.split(", ")):
            first, _, last = part.partition("-")
            free.update(range(int(first), int(last or first) + 1))
    yield _ROOT_INODE
    yield from (n for n in range(_FIRST_INODE, size * len(groups) + 1) if n not in free)


async def _compress(raw: Path, output: Path, stage: Stage) -> None:
    said = 0

    def progress(percent: float) -> None:
        nonlocal said
        if percent >= said:
            stage.progress(60 + percent * 0.4, "compressing the disk image")
            said += 5

    await asyncio.to_thread(qcow2.write, raw, output, progress)


def _write_at(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), data, offset)


if __name__ == "__main__":
    sys.exit(main(DiskPlan, make))
