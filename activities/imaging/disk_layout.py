"""Where things are on a disk image: a GPT that starts under BIOS and under UEFI.

    sector 0        protective MBR with GRUB's boot sector (BIOS)
    sector 2048     BIOS boot partition: GRUB's core image
    sector 4096     EFI system partition, 64 MiB, FAT32
    sector 135168   root, ext4, to the end

See the UEFI specification 2.10, section 5.3 (GPT), and the Discoverable Partitions Specification for
the types. Sectors are 512 bytes.
"""

from uuid import UUID

from activities.imaging.identifiers import image_uuid
from domain.model import Value

SECTOR = 512
BLOCK = 4096
_MIB = 1 << 20
_ALIGN = _MIB // SECTOR

BIOS_START = 2048
BIOS_SECTORS = 2048
ESP_START = BIOS_START + BIOS_SECTORS
ESP_SECTORS = 131072
ROOT_START = ESP_START + ESP_SECTORS
_GPT_TAIL = _ALIGN  # the backup table needs 33 sectors; a whole MiB keeps the image's size round

BIOS_BOOT_TYPE = "21686148-6449-6E6F-744E-656564454649"
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
ROOT_TYPE = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"  # root, x86-64: what systemd-repart(8) looks for

_LEAST_HEADROOM = 1 << 30
_BYTES_PER_INODE = 16384


class Tree(Value):
    """A root file system as counted: its bytes in whole blocks, and its files, folders and links."""

    bytes: int
    entries: int


class RootSize(Value):
    """What mke2fs(8) is told: blocks of 4 KiB, and inodes."""

    blocks: int
    inodes: int


class DiskLayout(Value):
    """The partitions of one image. `root_sectors` is a whole number of MiB."""

    disk_id: UUID
    bios_id: UUID
    esp_id: UUID
    root_id: UUID
    root_sectors: int

    @property
    def sectors(self) -> int:
        """The size of the whole disk."""
        return ROOT_START + self.root_sectors + _GPT_TAIL

    @property
    def bytes(self) -> int:
        """The size of the whole disk."""
        return self.sectors * SECTOR

    @property
    def sfdisk_script(self) -> str:
        """The table in the language of sfdisk(8)."""
        rows = (
            (BIOS_START, BIOS_SECTORS, BIOS_BOOT_TYPE, self.bios_id, "bios"),
            (ESP_START, ESP_SECTORS, ESP_TYPE, self.esp_id, "esp"),
            (ROOT_START, self.root_sectors, ROOT_TYPE, self.root_id, "root"),
        )
        head = f"label: gpt\nlabel-id: {self.disk_id}\nunit: sectors\nfirst-lba: {BIOS_START}\n\n"
        return head + "".join(
            f'start={start}, size={size}, type={kind}, uuid={identifier}, name="{name}"\n'
            for start, size, kind, identifier, name in rows
        )


def root_size(tree: Tree) -> RootSize:
    """Choose a root large enough for `tree`, with room to work in.

    Half the content again, and no less than 1 GiB, stays free: a sparse image pays nothing for it, and
    what an owner adds by enlarging the disk is claimed at the next boot.
    """
    content = tree.bytes + tree.bytes // 10 + tree.entries * 256
    size = content + max(_LEAST_HEADROOM, content // 2)
    size = -(-size // _MIB) * _MIB
    return RootSize(blocks=size // BLOCK, inodes=max(size // _BYTES_PER_INODE, 2 * tree.entries))


def layout(digest: str, root: RootSize) -> DiskLayout:
    """Lay out a disk for the layer with this digest."""
    return DiskLayout(
        disk_id=image_uuid(digest, "disk"),
        bios_id=image_uuid(digest, "bios partition"),
        esp_id=image_uuid(digest, "esp partition"),
        root_id=image_uuid(digest, "root partition"),
        root_sectors=root.blocks * (BLOCK // SECTOR),
    )
