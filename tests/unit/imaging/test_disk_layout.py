"""Where things are on a disk image."""

import re

from activities.imaging import disk_layout
from activities.imaging.disk_layout import RootSize, Tree, layout, root_size

DIGEST = "ab" * 32
GIB = 1 << 30
MIB = 1 << 20


def test_partitions_follow_each_other_without_overlap() -> None:
    made = layout(DIGEST, RootSize(blocks=1 << 18, inodes=65536))

    rows = [(int(a), int(b)) for a, b in re.findall(r"start=(\d+), size=(\d+)", made.sfdisk_script)]

    ends = [start + size for start, size in rows]
    assert [start for start, _ in rows[1:]] == ends[:-1]
    assert rows[0] == (2048, 2048)


def test_every_partition_begins_and_ends_at_a_whole_mebibyte() -> None:
    made = layout(DIGEST, root_size(Tree(bytes=123_456_789, entries=4321)))

    for start, size in re.findall(r"start=(\d+), size=(\d+)", made.sfdisk_script):
        assert int(start) * 512 % MIB == 0
        assert int(size) * 512 % MIB == 0


def test_a_whole_mebibyte_is_left_for_the_backup_table() -> None:
    made = layout(DIGEST, RootSize(blocks=1 << 18, inodes=65536))

    root_end = disk_layout.ROOT_START + made.root_sectors
    assert made.sectors - root_end == 2048
    assert made.bytes == made.sectors * 512


def test_root_begins_where_the_file_system_is_written() -> None:
    assert disk_layout.ROOT_START * disk_layout.SECTOR == 69_206_016


def test_the_table_names_the_types_that_firmware_and_systemd_look_for() -> None:
    script = layout(DIGEST, RootSize(blocks=1 << 18, inodes=65536)).sfdisk_script

    types = re.findall(r"type=([0-9A-F-]+)", script)
    assert types == [disk_layout.BIOS_BOOT_TYPE, disk_layout.ESP_TYPE, disk_layout.ROOT_TYPE]
    assert script.startswith("label: gpt\n")


def test_the_same_layer_has_the_same_table_and_another_layer_has_another() -> None:
    size = RootSize(blocks=1 << 18, inodes=65536)

    assert layout(DIGEST, size).sfdisk_script == layout(DIGEST, size).sfdisk_script
    assert layout(DIGEST, size).disk_id != layout("cd" * 32, size).disk_id


def test_a_small_tree_has_a_gibibyte_to_work_in() -> None:
    size = root_size(Tree(bytes=200 * MIB, entries=5000))

    assert size.blocks * disk_layout.BLOCK >= 200 * MIB + GIB


def test_a_large_tree_has_half_its_size_to_work_in() -> None:
    size = root_size(Tree(bytes=8 * GIB, entries=200_000))

    assert size.blocks * disk_layout.BLOCK >= 12 * GIB


def test_many_small_files_get_inodes_enough() -> None:
    size = root_size(Tree(bytes=400 * MIB, entries=100_000))

    assert size.inodes == 200_000
