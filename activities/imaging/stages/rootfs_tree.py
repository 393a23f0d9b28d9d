"""Files inside an unpacked root file system, never through one of its links.

The tree is hostile: a package or a script may have left `/etc` or `/etc/fstab` as a link to a path
that means something else here than in the image. Every step is therefore relative to an open folder
and refuses links (openat(2), O_NOFOLLOW).
"""

import os
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from activities.imaging.disk_layout import BLOCK, Tree
from domain.errors import Verdict

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def names_in(root: Path, folder: str) -> tuple[str, ...]:
    """List a folder of the tree; nothing if it is not there.

    Raises:
        Verdict: `image.bad_path`, when a link stands where a folder belongs.

    """
    try:
        with _opened(root, PurePosixPath(folder)) as handle:
            return tuple(sorted(os.listdir(handle)))  # noqa: PTH208 - pathlib has no open folders
    except FileNotFoundError:
        return ()


def place(root: Path, path: str, data: bytes, *, epoch: int) -> None:
    """Write a file of the image, mode 0644, owned by root, together with the folders it needs.

    Raises:
        Verdict: `image.bad_path`, when something other than a folder is in its way.

    """
    target = PurePosixPath(path)
    with _opened(root, target.parent, make=epoch) as folder:
        try:
            os.unlink(target.name, dir_fd=folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _bad(path) from error
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(target.name, flags, 0o644, dir_fd=folder), "wb") as file:
            file.write(data)
        for name in (target.name, "."):
            os.utime(name, (epoch, epoch), dir_fd=folder)


def remove(root: Path, path: str) -> None:
    """Take a file, link or folder out of the tree, if it is there.

    Raises:
        Verdict: `image.bad_path`, when a link stands where one of its folders belongs.

    """
    target = PurePosixPath(path)
    with suppress(FileNotFoundError), _opened(root, target.parent) as folder:
        try:
            os.unlink(target.name, dir_fd=folder)
        except IsADirectoryError:
            shutil.rmtree(target.name, dir_fd=folder)


def copy_out(root: Path, path: str, target: Path) -> bool:
    """Copy the bytes of a file of the tree; answers whether there are any. A link or special file has none.

    Raises:
        Verdict: `image.bad_path`, when a link stands where one of its folders belongs.

    """
    source = PurePosixPath(path)
    with _opened(root, source.parent) as folder:
        try:
            handle = os.open(source.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            return False
    with os.fdopen(handle, "rb") as file, target.open("wb") as copy:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            return False
        shutil.copyfileobj(file, copy)
    return True


def measure(root: Path) -> Tree:
    """Count what the tree will take in a file system of 4 KiB blocks."""
    total = entries = 0
    seen: set[int] = set()
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            status = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - a Path for each of 100,000 files is slow
            if status.st_ino in seen:
                continue
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                seen.add(status.st_ino)
            entries += 1
            total += max(BLOCK, -(-status.st_size // BLOCK) * BLOCK)
    return Tree(bytes=total, entries=entries)


@contextmanager
def _opened(root: Path, folder: PurePosixPath, *, make: int | None = None) -> Generator[int]:
    handle = os.open(root, _FOLDER)
    try:
        for name in folder.parts:
            if make is not None:
                _make_folder(name, handle, make)
            try:
                inner = os.open(name, _FOLDER, dir_fd=handle)
            except FileNotFoundError:
                raise
            except OSError as error:  # ELOOP or ENOTDIR: a link or a file
                raise _bad(str(folder)) from error
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def _make_folder(name: str, parent: int, epoch: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        return
    os.utime(name, (epoch, epoch), dir_fd=parent)
    os.utime(".", (epoch, epoch), dir_fd=parent)


def _bad(path: str) -> Verdict:
    return Verdict.because(
        "image.bad_path",
        f"/{path} cannot be used: something other than a plain file or folder is in its way in the image",
        value=f"/{path}",
        next="Find what makes a link or special file of it: a package, or a script of the recipe.",
    )
