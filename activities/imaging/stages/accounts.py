"""Accounts of an image, made with its own shadow tools. Runs with the image as root directory.

An account without a password gets `*`: no password matches, keys do. `sudo` means the group sudo for
an account with a password, which sudo then asks for, and sudo without a password for one that has
none, because it could answer nothing.
"""

import difflib
import grp
import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from activities.imaging.stages.frame import Stage
from activities.imaging.stages.system_files import SystemFile, sudo_file
from domain.errors import Problem, Verdict
from domain.recipe.schema import User
from infra.process import CommandError

_FIRST_UID = 1000  # login.defs(5), UID_MIN
_SHELL = "/bin/bash"


def check_accounts(users: Sequence[User]) -> tuple[Problem, ...]:
    """Name every group, shell, account or number that the image cannot give."""
    groups = {group.gr_name for group in grp.getgrall()}
    taken = {account.pw_uid: account.pw_name for account in pwd.getpwall()}
    problems: list[Problem] = []
    for i, user in enumerate(users):
        problems += [
            _no_group(f"users[{i}].groups[{j}]", name, groups)
            for j, name in enumerate(user.groups)
            if name not in groups | {user.username}
        ]
        if not Path(user.shell).is_file():
            problems.append(_no_shell(f"users[{i}].shell", user.shell))
        if user.uid is not None and taken.get(user.uid, user.username) != user.username:
            problems.append(_taken(f"users[{i}].uid", user.uid, taken[user.uid]))
    return tuple(problems)


async def make_accounts(users: Sequence[User], stage: Stage) -> dict[str, SystemFile]:
    """Make all accounts, in order and with the same numbers each time; answers the files they need beside them.

    Accounts without a number get the lowest free ones in the order of the recipe, with a group of the
    same name and number.

    Raises:
        Verdict: `user.failed`, when the image's own tools refuse one.

    """
    files: dict[str, SystemFile] = {}
    present = {account.pw_name: account for account in pwd.getpwall()}
    numbers = _numbers(users, {account.pw_uid for account in present.values()} | {g.gr_gid for g in grp.getgrall()})
    for i, user in enumerate(users):
        try:
            await _make(user, None if user.username in present else numbers[user.username], stage)
        except (CommandError, OSError) as error:
            raise Verdict.because(
                "user.failed",
                f"The account '{user.username}' cannot be made: {error}",
                path=f"users[{i}]",
                value=user.username,
                next="Check its home and shell against what is in the image; the step's log says more.",
            ) from error
        if user.sudo and user.password_hash is None:
            files |= sudo_file(user.username)
    return files


async def _make(user: User, uid: int | None, stage: Stage) -> None:
    """Make or, without a number, change one account."""
    if uid is None:
        await _change(user, stage)
    else:
        await _add(user, uid, stage)
    await _set_password(user, stage)
    if user.ssh_keys:
        _authorize(user)


def _numbers(users: Sequence[User], taken: set[int]) -> dict[str, int]:
    chosen = {user.username: user.uid for user in users if user.uid is not None}
    free = _FIRST_UID
    for user in users:
        if user.username not in chosen:
            while free in taken or free in chosen.values():
                free += 1
            chosen[user.username] = free
    return chosen


def _groups(user: User) -> list[str]:
    extra = ("sudo",) if user.sudo and user.password_hash is not None else ()
    return sorted({*user.groups, *extra} - {user.username})


async def _add(user: User, uid: int, stage: Stage) -> None:
    group = user.username
    if group not in {g.gr_name for g in grp.getgrall()}:
        gid = [] if uid in {g.gr_gid for g in grp.getgrall()} else ["--gid", str(uid)]
        await stage.run("groupadd", *gid, group)
    words = ["--uid", str(uid), "--gid", group, "--shell", user.shell, "--create-home", "--no-log-init"]
    if user.home is not None:
        words += ["--home-dir", user.home]
        _make_parents(Path(user.home))
    if groups := _groups(user):
        words += ["--groups", ",".join(groups)]
    await stage.run("useradd", *words, "--", user.username)


async def _change(user: User, stage: Stage) -> None:
    """Add to an account that a package made; what the recipe leaves at its default stays as it is."""
    words: list[str] = []
    if groups := _groups(user):
        words += ["--append", "--groups", ",".join(groups)]
    if user.shell != _SHELL:
        words += ["--shell", user.shell]
    if words:
        await stage.run("usermod", *words, "--", user.username)


async def _set_password(user: User, stage: Stage) -> None:
    if user.username == "root" and user.password_hash is None:
        return
    line = f"{user.username}:{user.password_hash or '*'}\n"
    await stage.run("chpasswd", "--encrypted", stdin=line.encode())  # standard input: not shown by ps(1)


def _authorize(user: User) -> None:
    """Write authorized_keys; sshd(8) refuses a file that others may write."""
    account = pwd.getpwnam(user.username)
    folder = Path(account.pw_dir) / ".ssh"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "authorized_keys"
    file.write_text("".join(f"{key.strip()}\n" for key in user.ssh_keys))
    for path, mode in ((folder, 0o700), (file, 0o600)):
        path.chmod(mode)
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _make_parents(home: Path) -> None:
    home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)


def _no_group(path: str, name: str, groups: set[str]) -> Problem:
    return Problem(
        code="group.not_found",
        message=f"No group '{name}' in the image: neither the base nor a package makes it.",
        path=path,
        value=name,
        suggestions=tuple(difflib.get_close_matches(name, sorted(groups), n=3)),
        next="Correct the name, or add the package that makes the group.",
    )


def _no_shell(path: str, shell: str) -> Problem:
    return Problem(
        code="user.no_shell",
        message=f"No program {shell} in the image, so nobody could log in with it.",
        path=path,
        value=shell,
        suggestions=("/bin/bash",),
        next="Use another shell, or add the package that has this one.",
    )


def _taken(path: str, uid: int, owner: str) -> Problem:
    return Problem(
        code="user.conflict",
        message=f"The number {uid} belongs to '{owner}' in the image.",
        path=path,
        value=str(uid),
        next="Choose another uid, or leave it out.",
    )


def refuse(problems: Sequence[Problem]) -> None:
    """End the stage if anything is wrong.

    Raises:
        Verdict: all the problems at once.

    """
    if problems:
        raise Verdict(*problems)
