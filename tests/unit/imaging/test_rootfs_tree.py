"""Files put into a hostile tree."""

import os
from pathlib import Path

import pytest

from activities.imaging.stages.rootfs_tree import measure, names_in, place
from domain.errors import Verdict

EPOCH = 1_700_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty tree beside a file that does not belong to it."""
    (tmp_path / "outside").write_text("the host's")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_a_file_is_placed_with_its_folders_and_the_images_time(root: Path) -> None:
    place(root, "boot/grub/grub.cfg", b"menu", epoch=EPOCH)

    made = root / "boot/grub/grub.cfg"
    assert made.read_bytes() == b"menu"
    assert {int(p.stat().st_mtime) for p in (made, made.parent, made.parent.parent)} == {EPOCH}


def test_a_link_in_the_files_place_is_replaced_and_not_followed(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc/fstab").symlink_to(root.parent / "outside")

    place(root, "etc/fstab", b"mine", epoch=EPOCH)

    assert (root.parent / "outside").read_text() == "the host's"
    assert not (root / "etc/fstab").is_symlink()
    assert (root / "etc/fstab").read_bytes() == b"mine"


@pytest.mark.parametrize("path", ["etc/fstab", "etc/repart.d/50-root.conf"])
def test_a_link_in_a_folders_place_is_refused(root: Path, path: str) -> None:
    (root / "etc").symlink_to(root.parent)

    with pytest.raises(Verdict) as caught:
        place(root, path, b"mine", epoch=EPOCH)

    assert caught.value.code == "image.bad_path"
    assert not (root.parent / "fstab").exists()


def test_a_folder_in_the_files_place_is_refused(root: Path) -> None:
    (root / "etc/fstab").mkdir(parents=True)

    with pytest.raises(Verdict) as caught:
        place(root, "etc/fstab", b"mine", epoch=EPOCH)

    assert caught.value.code == "image.bad_path"


def test_a_linked_folder_is_not_listed(root: Path) -> None:
    (root / "boot").symlink_to(root.parent)

    with pytest.raises(Verdict):
        names_in(root, "boot")


def test_a_missing_folder_has_no_names(root: Path) -> None:
    assert names_in(root, "boot") == ()


def test_a_tree_is_measured_in_whole_blocks_and_hard_links_once(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc/one").write_bytes(b"x")
    os.link(root / "etc/one", root / "etc/two")
    (root / "etc/big").write_bytes(bytes(4097))

    tree = measure(root)

    assert tree.entries == 3
    assert tree.bytes == 4096 + 4096 + 8192
