"""A layer that says only what it changes in the one beneath it.

A plain tar of the new and changed entries; for a removed one it has an empty file whose name has `.wh.` before it
(OCI image specification, layer.md, "Whiteouts").
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from domain.errors import Verdict

WHITEOUT = ".wh."
_DEVICES = "./dev"  # the running system's business


class Facts(NamedTuple):
    """By which a change is seen. The kernel sets the time (nanoseconds) at each, and nobody else can (inode(7))."""

    inode: int
    changed: int
    type: int


def snapshot(root: Path) -> dict[str, Facts]:
    """Look at every entry of the tree, named as tar(1) names it: `.`, `./etc`, ….

    No link is followed. Clocks of file systems tick some milliseconds: programs must have been started between
    the making of the tree and its first change.
    """
    return dict(_entries(str(root), "."))


def _entries(folder: str, name: str) -> Iterator[tuple[str, Facts]]:
    if name == _DEVICES:
        return
    yield name, _facts(os.lstat(folder))
    with os.scandir(folder) as entries:
        for entry in entries:
            inner = f"{name}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path, inner)
            else:
                yield inner, _facts(entry.stat(follow_symlinks=False))


def _facts(status: os.stat_result) -> Facts:
    return Facts(status.st_ino, status.st_ctime_ns, stat.S_IFMT(status.st_mode))


def mark_changes(root: Path, before: Mapping[str, Facts]) -> tuple[str, ...]:
    """Name what is new or changed since `before`, sorted, and put a whiteout where something is gone.

    What became something else (a folder, then a link) has both. The folder of each is named with it: to replace an
    entry changes the folder's time, which has to be set again.

    Raises:
        Verdict: `image.bad_path`, for a name of the tree that would be taken for a whiteout.

    """
    after = snapshot(root)
    changed = {name for name, facts in after.items() if before.get(name) != facts}
    gone = {name for name, facts in before.items() if name not in after or after[name].type != facts.type}
    whiteouts: list[str] = []
    for name in gone:
        folder, _, last = name.rpartition("/")
        if folder in gone:
            continue  # goes with its folder
        whiteouts.append(f"{folder}/{WHITEOUT}{last}")
    _refuse(
        sorted((name for name in changed if f"/{WHITEOUT}" in name), key=len) or sorted(after.keys() & {*whiteouts})
    )
    for name in whiteouts:
        (root / name).touch(exist_ok=False)
    changed.update(whiteouts)
    return tuple(sorted(changed.union(name.rpartition("/")[0] or "." for name in changed)))


def _refuse(names: list[str]) -> None:
    """Refuse what would be taken for a whiteout."""
    if names:
        raise Verdict.because(
            "image.bad_path",
            f"{names[0].removeprefix('.')} cannot be in an image: names that begin with {WHITEOUT} say what is removed",
            value=names[0].removeprefix("."),
            next="Choose another name, or leave out the package that has it.",
        )
