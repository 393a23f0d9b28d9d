"""A layer that says only what it changes, packed and laid on the one beneath by the real tar."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.imaging.assembly_plans import AssemblyPlan
from activities.imaging.layers_plans import LayerPlan
from activities.imaging.stages import image_tree, layer_tree
from activities.imaging.stages.difference import mark_changes, snapshot
from activities.imaging.stages.frame import Stage
from domain.errors import Verdict

pytestmark = pytest.mark.integration

EPOCH = 1_700_000_000


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with something of everything."""
    root = tmp_path / "tree"
    monkeypatch.setattr(layer_tree, "ROOT", root)
    for folder in ("etc/keep", "etc/gone/deep", "etc/swapped", "usr/lib", "dev", "var/empty"):
        (root / folder).mkdir(parents=True)
    for name in ("etc/same", "etc/edited", "etc/removed", "etc/gone/deep/file", "etc/swapped/file", "usr/lib/tool"):
        (root / name).write_text(name)
    (root / "etc/-dash\nline").write_text("a name of tricks")
    (root / "lib").symlink_to("usr/lib")
    (root / "etc/link").symlink_to("same")
    os.link(root / "usr/lib/tool", root / "usr/lib/again")
    return root


def change(root: Path) -> None:
    """Do all that may happen to a tree."""
    (root / "etc/edited").write_text("other words")
    (root / "etc/removed").unlink()
    shutil.rmtree(root / "etc/gone")
    shutil.rmtree(root / "etc/swapped")
    (root / "etc/swapped").symlink_to("keep")
    (root / "etc/link").unlink()
    (root / "etc/link").mkdir()
    (root / "etc/link/inner").write_text("a folder now")
    (root / "etc/new").mkdir(mode=0o700)
    (root / "etc/new/-dash\nline").write_text("new")
    (root / "etc/-dash\nline").unlink()
    (root / "usr/lib/tool").chmod(0o4755)
    os.chown(root / "etc/keep", 1000, 1001)
    (root / "dev/null").touch()


def looks(root: Path) -> Iterator[tuple[str, tuple[object, ...]]]:
    """All of a tree that an image shows."""
    for path in sorted((root, *root.rglob("*"))):
        name, status = str(path.relative_to(root)), path.lstat()
        if name.startswith("dev/"):
            continue
        kind = stat.S_IFMT(status.st_mode)
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        links = status.st_nlink if kind == stat.S_IFREG else 0
        yield name, (oct(status.st_mode), status.st_uid, status.st_gid, links, content, int(status.st_mtime))


def plan(folder: Path, name: str) -> LayerPlan:
    return LayerPlan(epoch=EPOCH, output=folder / name, work=folder, scratch_bytes=None)


async def unpacked(folder: Path, *layers: Path) -> dict[str, tuple[object, ...]]:
    folder.mkdir()
    image = AssemblyPlan(
        epoch=EPOCH, layers=layers, digest="", title="", work=folder, output=folder / "none", scratch_bytes=None
    )
    return dict(looks(await image_tree.unpack(image, Stage(EPOCH))))


async def test_a_difference_laid_on_its_layer_is_the_changed_tree(root: Path, tmp_path: Path) -> None:
    stage = Stage(EPOCH)
    await layer_tree.pack(plan(tmp_path, "before"), stage)
    before = snapshot(root)
    change(root)
    await layer_tree.pack(plan(tmp_path, "after"), stage)

    await layer_tree.pack_changes(plan(tmp_path, "difference"), mark_changes(root, before), stage)

    whole = await unpacked(tmp_path / "whole", tmp_path / "after")
    laid = await unpacked(tmp_path / "laid", tmp_path / "before", tmp_path / "difference")
    assert laid == whole
    assert "etc/swapped" in laid
    assert "etc/gone" not in laid


async def test_an_unchanged_tree_has_no_difference(root: Path) -> None:
    assert mark_changes(root, snapshot(root)) == ()


async def test_what_is_in_the_difference_is_what_changed(root: Path) -> None:
    before = snapshot(root)
    change(root)

    names = mark_changes(root, before)

    assert "./etc/same" not in names
    assert "./usr/lib/again" in names  # the same file as the one whose mode changed
    assert {"./etc/.wh.removed", "./etc/.wh.gone", "./etc/.wh.swapped", "./etc/.wh.link"} <= {*names}
    assert "./etc/gone/.wh.deep" not in names
    assert not any(name.startswith("./dev/") for name in names)


@pytest.mark.parametrize("name", ["srv/.wh.data", "etc/.wh.d/inside"])
async def test_a_name_that_would_be_taken_for_a_whiteout_is_refused(root: Path, name: str) -> None:
    before = snapshot(root)
    (root / name).parent.mkdir(parents=True)
    (root / name).touch()

    with pytest.raises(Verdict, match=r"image\.bad_path") as caught:
        mark_changes(root, before)

    assert "/.wh." in str(caught.value.problems[0].value)


async def test_nor_may_it_be_where_a_whiteout_has_to_be(root: Path) -> None:
    (root / "etc/.wh.removed").touch()
    before = snapshot(root)
    (root / "etc/removed").unlink()

    with pytest.raises(Verdict, match=r"image\.bad_path"):
        mark_changes(root, before)
