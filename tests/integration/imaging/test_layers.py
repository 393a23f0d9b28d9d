"""Recipes solved and built into layers, by the real apt and mmdebstrap."""

import asyncio
import contextlib
import hashlib
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from activities.imaging.apt_debs import DebCache
from activities.imaging.apt_sources import Mirrors, find_mirrors
from activities.imaging.lock import Lock, LockedPackage, read_lock, store_lock
from activities.imaging.models import LayerResult
from domain.artifacts import Blob
from domain.errors import Fault, Verdict
from infra.settings import load
from tests.integration.imaging.builds import Builds

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420)]

NEEDLE = "mirror-needle"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOxwu8o3clI3I6RWu5RJ19pqXD/Egy+xOKu80P49vbc8 test@example"
RECIPE = {
    "name": "tiny",
    "baseImage": "debian-bookworm",
    "guestAgent": False,
    "services": [{"name": "ssh", "config": {"port": 2222}}, {"name": "fstrim.timer", "enabled": False}],
    "users": [
        {"username": "deploy", "groups": ["www-data"], "sudo": True, "ssh_keys": [KEY]},
        {"username": "ops", "uid": 1500, "home": "/srv/ops", "shell": "/bin/sh"},
    ],
    "startupScripts": [{"name": "hello", "script": "echo hello"}],
}


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Mirrors:
    """This host's mirrors under an address that nothing else has: a list that apt reads."""
    folder = tmp_path_factory.mktemp(NEEDLE)
    real = asyncio.run(find_mirrors(load({})))
    lists: list[str] = []
    for name, address in (("main", real.main), ("security", real.security or real.main)):
        (folder / name).write_text(f"{address}\n")
        lists.append(f"mirror+file:{folder / name}")
    return Mirrors(main=lists[0], security=lists[1] if real.security else None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all tests here: what one has built is there for the next."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def builds(home: Path, mirrors: Mirrors) -> Builds:
    return Builds(home, mirrors)


@pytest.fixture(scope="module")
def solved(home: Path, mirrors: Mirrors) -> Lock:
    """The recipe, solved once."""
    return asyncio.run(Builds(home, mirrors).solve(RECIPE))


@pytest.fixture(scope="module")
def lock(home: Path, mirrors: Mirrors, solved: Lock) -> Blob:
    """The same without a kernel."""
    return asyncio.run(Builds(home, mirrors).lighten(solved))


@pytest.fixture(scope="module")
def made(home: Path, mirrors: Mirrors, lock: Blob) -> list[LayerResult]:
    """The recipe's three layers, built once."""
    return asyncio.run(Builds(home, mirrors).layers(RECIPE, lock))


async def test_the_same_index_and_recipe_give_the_same_lock(builds: Builds, solved: Lock) -> None:
    assert await builds.solve(RECIPE) == solved
    assert {"bash", "apt", "dpkg"} <= {package.name for package in solved.base}
    assert "openssh-server" in {package.name for package in solved.packages}
    assert NEEDLE not in solved.model_dump_json()


async def test_everything_wrong_with_the_packages_is_told_at_once(builds: Builds) -> None:
    wrong = RECIPE | {"packages": ["openssh-sever", "exim4-daemon-light", "postfix", "mail-transport-agent"]}
    problems = await builds.resolver.check(dict(wrong), builds.notes)
    assert [(p.code, p.path) for p in problems] == [
        ("package.not_found", "packages[0]"),
        ("package.virtual", "packages[3]"),
        ("package.conflict", "packages[2]"),
    ]
    assert problems[0].suggestions[0] == "openssh-server"
    with pytest.raises(Verdict):
        await builds.solve(dict(wrong))


async def test_a_good_recipe_has_no_problems(builds: Builds) -> None:
    assert await builds.resolver.check(dict(RECIPE), builds.notes) == ()


async def test_the_packages_of_an_earlier_build_are_taken_again(builds: Builds, solved: Lock, tmp_path: Path) -> None:
    other = Builds(tmp_path, builds.mirrors)
    kept, *rest = (package for package in solved.packages if not package.name.startswith("linux-image"))
    unlisted = kept.model_copy(update={"path": f"./{kept.path}"})  # the archive has it, its index names no such path
    earlier = solved.model_copy(update={"packages": (unlisted, *rest)})
    assert await other.solve_as(RECIPE, earlier) == earlier
    assert DebCache(tmp_path).missing([unlisted]) == ()
    assert other.left_over() == []


async def test_every_package_of_an_earlier_build_that_is_gone_is_named(
    builds: Builds, solved: Lock, tmp_path: Path
) -> None:
    old = {"version": "0.1-1", "path": "pool/main/n/none/none_0.1-1_amd64.deb"}
    first, second, *rest = solved.packages
    gone = [p.model_copy(update={**old, "sha256": f"{n}" * 64}) for n, p in enumerate((first, second))]
    with pytest.raises(Verdict) as caught:
        await Builds(tmp_path, builds.mirrors).solve_as(RECIPE, solved.model_copy(update={"packages": (*gone, *rest)}))
    assert [(p.code, p.value) for p in caught.value.problems] == [
        ("package.superseded", f"{package.name}=0.1-1") for package in (first, second)
    ]
    assert first.version in caught.value.problems[0].suggestions
    assert "build:ID" in (caught.value.problems[0].next or "")


async def test_a_lock_of_other_packages_than_today_is_refused(builds: Builds, solved: Lock, tmp_path: Path) -> None:
    earlier = solved.model_copy(update={"wanted": solved.wanted[1:]})
    with pytest.raises(Verdict, match=r"lock\.outdated"):
        await Builds(tmp_path, builds.mirrors).solve_as(RECIPE, earlier)


async def test_another_suite_is_solved_on_the_same_host(builds: Builds) -> None:
    lock = await builds.solve(RECIPE | {"baseImage": "debian-trixie"})
    assert lock.suite == "trixie"


async def test_a_mirror_that_does_not_answer_is_a_fault_and_an_old_index_still_serves(
    builds: Builds, solved: Lock, tmp_path: Path
) -> None:
    nowhere = Mirrors(main="http://127.0.0.1:9/debian/", security=None)
    with pytest.raises(Fault) as caught:
        await Builds(tmp_path, nowhere).solve(RECIPE)
    assert caught.value.code == "mirror.unreachable"

    stamp = builds.home / "cache/apt/bookworm-amd64/refreshed"
    os.utime(stamp, (0, 0))
    list_file = Path(builds.mirrors.main.removeprefix("mirror+file:"))
    real = list_file.read_text()
    try:
        list_file.write_text("http://127.0.0.1:9/debian/\n")
        assert await builds.solve(RECIPE) == solved
    finally:
        list_file.write_text(real)
    assert any("an earlier one is used" in line for line in builds.notes.lines)


async def test_three_layers_make_the_recipes_tree(builds: Builds, made: list[LayerResult], tmp_path: Path) -> None:
    tree = await builds.unpack(made[2].layer, tmp_path / "tree")

    assert builds.left_over() == []
    _has_the_accounts(tree)
    _has_the_services(tree)
    _has_nothing_of_the_factory(tree, builds)


def _has_the_accounts(tree: Path) -> None:
    accounts = {line.split(":")[0]: line.split(":") for line in (tree / "etc/passwd").read_text().splitlines()}
    assert accounts["deploy"][2:4] == ["1000", "1000"]
    assert accounts["ops"][2] == "1500"
    assert accounts["ops"][5:] == ["/srv/ops", "/bin/sh"]
    assert "deploy:*:" in (tree / "etc/shadow").read_text()
    assert "www-data:x:33:deploy" in (tree / "etc/group").read_text().splitlines()
    keys = tree / "home/deploy/.ssh/authorized_keys"
    assert keys.read_text() == f"{KEY}\n"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert (keys.stat().st_uid, keys.parent.stat().st_uid) == (1000, 1000)
    assert stat.S_IMODE((tree / "etc/sudoers.d/openfactory-deploy").stat().st_mode) == 0o440


def _has_the_services(tree: Path) -> None:
    wants = tree / "etc/systemd/system"
    enabled = {path.name for path in wants.glob("*.wants/*")}
    assert {"ssh.service", "systemd-networkd.service", "openfactory-startup-hello.service"} <= enabled
    assert "fstrim.timer" not in enabled
    assert "Port 2222" in (tree / "etc/ssh/sshd_config.d/10-openfactory.conf").read_text()
    assert (tree / "etc/resolv.conf").readlink() == Path("../run/systemd/resolve/stub-resolv.conf")
    assert (tree / "etc/hostname").read_text() == "tiny\n"


def _has_nothing_of_the_factory(tree: Path, builds: Builds) -> None:
    for needle in (NEEDLE, str(builds.home), "mnt/repository", "run/repository"):
        found = subprocess.run(["grep", "-rlF", needle, tree], check=False, capture_output=True, text=True)
        assert found.stdout == ""
    assert "Suites: bookworm bookworm-updates" in (tree / "etc/apt/sources.list.d/debian.sources").read_text()
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert list((tree / "etc/ssh").glob("ssh_host_*")) == []
    assert list((tree / "etc").glob(".resolv.conf*")) == []  # a package's copy of what was the host's
    for empty in ("dev", "proc", "run", "sys", "tmp", "var/lib/apt/lists"):
        assert list((tree / empty).iterdir()) == []
    assert not (tree / "usr/sbin/policy-rc.d").exists()


async def test_finished_layers_are_adopted(builds: Builds, lock: Blob, made: list[LayerResult]) -> None:
    again = await builds.layers(RECIPE, lock)
    assert [result.layer for result in again] == [result.layer for result in made]
    assert [result.cached for result in again] == [True, True, True]


async def test_a_changed_configuration_keeps_the_packages(builds: Builds, lock: Blob, made: list[LayerResult]) -> None:
    second = await builds.layers(RECIPE | {"name": "other"}, lock)
    assert [result.cached for result in second] == [True, True, False]
    assert second[1].layer == made[1].layer


async def test_a_configuration_says_only_what_it_changes(builds: Builds, made: list[LayerResult]) -> None:
    base, package, configuration = (result.layer for result in made)

    assert (base.on, package.on, configuration.on) == (None, None, package.blob)
    assert configuration.blob.bytes < package.blob.bytes / 20


async def test_a_recipe_without_packages_of_its_own_has_the_bases_bytes(builds: Builds, solved: Lock) -> None:
    bare = {"name": "bare", "baseImage": "debian-bookworm", "guestAgent": False}
    lock = await builds.solve(bare)

    base = await builds.layer("base", bare, light := await builds.lighten(lock), None)
    package = await builds.layer("package", bare, light, base.layer)

    assert (lock.packages, lock.shared) == ((), solved.shared)
    assert package.layer.blob == base.layer.blob
    assert package.cached


async def test_a_recipe_that_changes_the_system_has_it_in_its_package_layer(builds: Builds) -> None:
    other = {
        "name": "other",
        "baseImage": "debian-bookworm",
        "packages": ["busybox-static"],
    }  # initramfs-tools' other choice

    lock = await builds.solve(other)

    assert lock.system == ()
    assert {"busybox-static", "init"} <= {package.name for package in lock.packages}


async def test_two_cold_builds_of_the_base_are_byte_identical(
    builds: Builds, mirrors: Mirrors, lock: Blob, made: list[LayerResult], tmp_path: Path
) -> None:
    other = Builds(tmp_path / "other", mirrors)
    (tmp_path / "other" / "cache").mkdir(parents=True)
    (tmp_path / "other" / "cache" / "debs").symlink_to(builds.home / "cache" / "debs")
    second = await other.layer("base", RECIPE, await store_lock(other.store, read_lock(builds.store, lock)), None)

    assert not second.cached
    assert second.layer == made[0].layer


async def test_what_the_tree_does_not_have_is_a_verdict_on_its_line(
    builds: Builds, lock: Blob, made: list[LayerResult]
) -> None:
    wrong = RECIPE | {
        "services": [{"name": "ssh"}, {"name": "systemd-resolvd"}],
        "users": [{"username": "a", "groups": ["sudp"]}],
    }
    with pytest.raises(Verdict) as caught:
        await builds.layer("configuration", wrong, lock, made[1].layer)
    assert [(p.code, p.path) for p in caught.value.problems] == [
        ("group.not_found", "users[0].groups[0]"),
        ("service.not_found", "services[1].name"),
    ]
    assert caught.value.problems[1].suggestions[0] == "systemd-resolved.service"


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"services": [{"name": "ssh"}, {"name": "sshd"}]}, "service.refused", "services[1].name"),
        ({"users": [{"username": "a", "home": "/etc/passwd/a"}]}, "user.failed", "users[0]"),
    ],
)
async def test_what_the_images_own_tools_refuse_is_a_verdict(
    builds: Builds, lock: Blob, made: list[LayerResult], change: dict[str, object], code: str, path: str
) -> None:
    with pytest.raises(Verdict) as caught:
        await builds.layer("configuration", RECIPE | change, lock, made[1].layer)
    assert (caught.value.code, caught.value.problems[0].path) == (code, path)
    assert builds.left_over() == []


async def test_a_home_outside_the_tree_stays_inside_it(
    builds: Builds, lock: Blob, made: list[LayerResult], tmp_path: Path
) -> None:
    hostile = RECIPE | {"users": [{"username": "mallory", "home": f"/../../..{tmp_path}/escaped", "ssh_keys": [KEY]}]}
    try:
        await builds.layer("configuration", hostile, lock, made[1].layer)
    finally:
        assert not (tmp_path / "escaped").exists()


def _deb(folder: Path, cache: DebCache, script: str) -> LockedPackage:
    """A package whose installation runs `script`."""
    control = folder / "deb" / "DEBIAN"
    control.mkdir(parents=True)
    (control / "control").write_text(
        "Package: broken-thing\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: t\n"
    )
    (control / "postinst").write_text(script)
    (control / "postinst").chmod(0o755)
    file = folder / "broken.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", control.parent, file], check=True, capture_output=True)
    data = file.read_bytes()
    package = LockedPackage(
        name="broken-thing",
        version="1",
        arch="all",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        installed_kib=1,
        archive="main",
        path="pool/b/broken.deb",
        control={},
    )
    cache.path(package).write_bytes(data)
    return package


async def _only(builds: Builds, package: LockedPackage, solved: Lock) -> Blob:
    only = solved.model_copy(update={"system": (), "packages": (package,), "wanted": ("broken-thing",)})
    return await store_lock(builds.store, only)


async def test_a_package_that_cannot_be_installed_is_a_verdict_with_its_last_words(
    builds: Builds, solved: Lock, made: list[LayerResult], tmp_path: Path
) -> None:
    package = _deb(tmp_path, DebCache(builds.home), "#!/bin/sh\necho 'no such luck'\nexit 3\n")
    recipe = RECIPE | {"packages": ["broken-thing"]}
    with pytest.raises(Verdict) as caught:
        await builds.layer("package", recipe, await _only(builds, package, solved), made[0].layer)
    problem = caught.value.problems[0]
    assert (problem.code, problem.value, problem.path) == ("package.install_failed", "broken-thing", "packages[0]")
    assert "no such luck" in problem.message
    assert builds.left_over() == []


async def test_a_cancelled_layer_leaves_no_process_and_no_file(
    builds: Builds, solved: Lock, made: list[LayerResult], tmp_path: Path
) -> None:
    marker = "987654"
    package = _deb(tmp_path, DebCache(builds.home), f"#!/bin/sh\necho waiting\nsleep {marker}\n")
    lock = await _only(builds, package, solved)
    task = asyncio.create_task(builds.layer("package", RECIPE, lock, made[0].layer))
    async with asyncio.timeout(60):
        while "waiting" not in builds.notes.lines:
            assert not task.done()
            await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert builds.left_over() == []
    async with asyncio.timeout(10):
        while await asyncio.to_thread(_runs, f"sleep\0{marker}\0".encode()):  # noqa: ASYNC110 - the kernel ends it
            await asyncio.sleep(0.05)


def _runs(command: bytes) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == command:
                return True
    return False


async def test_build_scripts_see_no_network_and_cannot_change_the_hosts_kernel(
    builds: Builds, solved: Lock, made: list[LayerResult], tmp_path: Path
) -> None:
    script = (
        "#!/bin/sh\ncat /proc/net/dev\n"
        "if echo 1 > /proc/sys/kernel/printk; then echo writable; fi\nls -A /dev/pts /sys/class/net\nexit 1\n"
    )
    package = _deb(tmp_path, DebCache(builds.home), script)
    with pytest.raises(Verdict):
        await builds.layer("package", RECIPE, await _only(builds, package, solved), made[0].layer)
    interfaces = {line.split(":")[0].strip() for line in builds.notes.lines if re.match(r"^ *\w+: +\d+ ", line)}
    assert interfaces == {"lo"}
    assert "writable" not in builds.notes.lines
