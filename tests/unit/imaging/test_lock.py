"""The lock, and the repository and keys made from it."""

import hashlib
from pathlib import Path

import pytest

from activities.imaging.apt_index import parse_stanzas
from activities.imaging.keys import LayerIngredients
from activities.imaging.lock import packages_digest, packages_text, read_lock, release_text, store_lock
from activities.imaging.store import LocalBlobStore
from domain.artifacts import Blob
from domain.errors import Fault
from infra.sources import source_digest
from tests.unit.imaging.locked import lock, locked


async def test_the_same_lock_is_the_same_blob_and_reads_back_equal(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    solved = lock(locked("nginx"), base=(locked("bash"),))
    first, second = await store_lock(store, solved), await store_lock(store, solved.model_copy())
    assert first == second
    assert read_lock(store, first) == solved


def test_a_lock_that_is_not_here_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        read_lock(LocalBlobStore(tmp_path), Blob(digest="0" * 64, bytes=1))
    assert caught.value.code == "lock.missing"


def test_the_repository_lists_just_what_apt_needs_to_know() -> None:
    package = locked("nginx", version="1:1.22-1", Depends="libc6 (>= 2.36)", **{"Multi-Arch": "foreign"})
    (stanza,) = parse_stanzas(packages_text([package]).decode().splitlines())
    assert stanza["Depends"] == "libc6 (>= 2.36)"
    assert stanza["Multi-Arch"] == "foreign"
    assert stanza["Filename"] == "./nginx_1%3a1.22-1_amd64.deb"
    assert stanza["SHA256"] == package.sha256


def test_the_release_file_vouches_for_the_packages_file() -> None:
    text = release_text("bookworm", "amd64", b"Package: a\n").decode()
    assert "Codename: bookworm\n" in text
    assert f" {hashlib.sha256(b'Package: a' + bytes([10])).hexdigest()} 11 Packages\n" in text


def test_an_exact_version_is_asked_for_in_the_packages_own_architecture() -> None:
    assert locked("nginx", version="1.2").target == "nginx:amd64=1.2"
    assert locked("adduser", version="3", arch="all").target == "adduser=3"


def test_the_packages_digest_knows_files_and_not_where_they_came_from() -> None:
    package = locked("nginx")
    moved = package.model_copy(update={"archive": "security", "path": "pool/updates/main/n/nginx.deb"})
    other = package.model_copy(update={"sha256": "f" * 64})
    assert packages_digest([package, locked("vim")]) == packages_digest([locked("vim"), moved])
    assert packages_digest([package]) != packages_digest([other])


def _ingredients(**changes: object) -> LayerIngredients:
    values: dict[str, object] = {
        "kind": "package",
        "parent_key": "a" * 64,
        "tools": {"apt": "2.6.1", "tar": "1.34"},
        "suite": "bookworm",
        "arch": "amd64",
        "epoch": 1,
        "packages": "b" * 64,
        "sources": "c" * 64,
        "settings": {},
    }
    return LayerIngredients.model_validate(values | changes)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "configuration"},
        {"parent_key": "d" * 64},
        {"tools": {"apt": "3.0.3", "tar": "1.34"}},
        {"suite": "trixie"},
        {"epoch": 2},
        {"packages": "e" * 64},
        {"sources": "f" * 64},
        {"settings": {"recipe": {"name": "other"}}},
    ],
)
def test_whatever_decides_a_layers_bytes_changes_its_key(change: dict[str, object]) -> None:
    assert _ingredients(**change).key != _ingredients().key


def test_equal_ingredients_have_equal_keys() -> None:
    assert _ingredients(tools={"tar": "1.34", "apt": "2.6.1"}).key == _ingredients().key


def test_a_changed_stage_changes_the_source_digest(tmp_path: Path) -> None:
    stage = tmp_path / "stage.py"
    stage.write_text("one")
    before = source_digest([stage])
    stage.write_text("two")
    assert source_digest([stage]) != before
