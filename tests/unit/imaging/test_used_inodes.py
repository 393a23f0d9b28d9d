"""Which inodes dumpe2fs(8) says are in use."""

import pytest

from activities.imaging.stages.disk_image import used_inodes

DUMP = """\
Inode count:              40
Inodes per group:         20
Group 0: (Blocks 0-32767)
  Free blocks: 5414-32767
  Free inodes: 14-15, 18, 20
Group 1: (Blocks 32768-49999)
  Free blocks: 32770-49999
  Free inodes: 22-40
"""


def test_reserved_inodes_but_the_root_are_left_alone() -> None:
    assert list(used_inodes(DUMP)) == [2, 11, 12, 13, 16, 17, 19, 21]


def test_a_full_group_has_no_free_inode() -> None:
    full = DUMP.replace("14-15, 18, 20", "")

    assert list(used_inodes(full)) == [2, *range(11, 22)]


def test_something_that_is_no_dump_is_refused() -> None:
    with pytest.raises(OSError, match="dumpe2fs"):
        list(used_inodes("dumpe2fs: Bad magic number"))
