"""A root file system becomes a live medium that starts under BIOS and UEFI, from a disc or a USB stick.

The medium has its kernel and initramfs at /live/vmlinuz and /live/initrd, and the root file system at
/live/filesystem.squashfs, where live-boot(7) looks for it. Run as a stage (see `frame`) with a
`LivePlan`.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from activities.imaging import boot_loader
from activities.imaging.assembly_plans import LivePlan
from activities.imaging.disk_layout import ESP_TYPE
from activities.imaging.identifiers import fat_serial, image_uuid
from activities.imaging.stages import image_tree, rootfs_tree
from activities.imaging.stages.frame import Stage, main
from domain.errors import Verdict

_GRUB = Path("/usr/lib/grub")
_EFI_KIB = 4096
# A fault in a program's page decompresses a whole block, which is felt under emulation; next to blocks of 1 MiB
# these cost 6 % in size.
_BLOCK = "128K"


async def make(plan: LivePlan, stage: Stage) -> None:
    """Make `plan.output`."""
    stage.step_back()  # the disk image, which is made meanwhile, is what most wait for
    root = await image_tree.unpack(plan, stage)
    tree = plan.work / "tree"
    for folder in ("live", "boot/grub", ".disk/id"):
        (tree / folder).mkdir(parents=True)
    marker = f".disk/id/{image_uuid(plan.digest, 'live medium')}"
    (tree / marker).touch()
    (tree / "boot/grub/grub.cfg").write_text(boot_loader.live_menu(plan.title))
    stage.progress(0, "compressing the live file system")
    _kernel(root, tree / "live")
    async with asyncio.TaskGroup() as group:
        group.create_task(_squash(root, tree / "live/filesystem.squashfs", stage))
        group.create_task(_boot_images(plan, tree, f"/{marker}", stage))
    stage.progress(80, "writing the live medium")
    stage.date(*tree.rglob("*"), tree)
    await _write(plan, tree, stage)


def _kernel(root: Path, live: Path) -> None:
    """Copy the newest kernel out of the tree, and see that its initramfs can start a live medium."""
    if not any(rootfs_tree.names_in(root, folder) for folder in _live_boot(root)):
        raise Verdict.because(
            "image.no_live_boot",
            "the image has no live-boot, so it cannot start from an ISO",
            path="packages",
            next="Leave the factory's default packages in the recipe: live-boot is one of them.",
        )
    kernel = boot_loader.newest_kernel(rootfs_tree.names_in(root, "boot"))
    for name, target in ((kernel.image, "vmlinuz"), (kernel.initrd, "initrd")):
        if not rootfs_tree.copy_out(root, f"boot/{name}", live / target):
            raise Verdict.because("image.no_kernel", f"/boot/{name} is not a plain file in the image", path="packages")


def _live_boot(root: Path) -> tuple[str, ...]:
    merged = (root / "lib").is_symlink()
    return ("usr/lib/live/boot",) if merged else ("usr/lib/live/boot", "lib/live/boot")


async def _squash(root: Path, output: Path, stage: Stage) -> None:
    options = ("-comp", "zstd", "-Xcompression-level", "9", "-b", _BLOCK, "-exports")
    await stage.run("mksquashfs", root, output, "-no-progress", "-quiet", *options)


async def _boot_images(plan: LivePlan, tree: Path, marker: str, stage: Stage) -> None:
    start = plan.work / "start.cfg"
    start.write_text(boot_loader.live_start(marker))
    efi = plan.work / "BOOTX64.EFI"
    eltorito = tree / "boot/grub/eltorito.img"
    for target, output in (("i386-pc-eltorito", eltorito), ("x86_64-efi", efi)):
        await stage.grub_image(target, start, output, boot_loader.LIVE_MODULES[target])
    volume = plan.work / "efi.img"
    serial = fat_serial(plan.digest, "live esp")
    await stage.run(*("mkfs.vfat", "--invariant", "-F", "12", "-n", "ESP", "-i", serial, "-C", volume, str(_EFI_KIB)))
    await stage.run("mmd", "-i", volume, "::/EFI", "::/EFI/BOOT")
    await stage.run("mcopy", "-m", "-i", volume, efi, "::/EFI/BOOT/BOOTX64.EFI")
    stage.date(volume)


async def _write(plan: LivePlan, tree: Path, stage: Stage) -> None:
    """Write the ISO 9660 medium with its boot sectors; see xorrisofs(1) for each option."""
    now = datetime.fromtimestamp(plan.epoch, UTC)
    stamp = now.strftime("%Y%m%d%H%M%S00")
    await stage.run(
        *("xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-r", "-J", "-joliet-long", "-V", plan.label),
        *(f"--modification-date={stamp}", "--set_all_file_dates", stamp),
        *("--grub2-mbr", _GRUB / "i386-pc/boot_hybrid.img", "--protective-msdos-label", "-partition_offset", "16"),
        *("-c", "boot/boot.cat", "-b", "boot/grub/eltorito.img", "-no-emul-boot", "-boot-load-size", "4"),
        *("-boot-info-table", "--grub2-boot-info"),
        *("-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot"),
        *("-append_partition", "2", ESP_TYPE, plan.work / "efi.img", "-appended_part_as_gpt"),
        *("--gpt_disk_guid", image_uuid(plan.digest, "live disk").hex, "-o", plan.output, tree),
    )


if __name__ == "__main__":
    sys.exit(main(LivePlan, make))
