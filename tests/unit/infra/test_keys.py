"""Secrets are made once, are open to their owner alone, and a key is known by what is kept of it."""

import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from domain.errors import Verdict
from infra.keys import Secrets, key_matches, key_prefix, new_api_key, read_or_make, record_of


def test_a_secret_stays_the_same_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    key = Secrets(folder).operator_key()
    assert Secrets(folder).operator_key() == key
    assert stat.S_IMODE((folder / "operator.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [p.name for p in folder.iterdir()] == ["operator.key"]


@pytest.mark.parametrize("there", [True, False])
def test_what_a_killed_maker_left_goes_when_the_secret_is_next_read_or_made(tmp_path: Path, *, there: bool) -> None:
    folder = tmp_path / "secrets"
    key = Secrets(folder).operator_key()
    handle, name = tempfile.mkstemp(prefix=".operator.key.", dir=folder)  # as `read_or_make` does
    os.close(handle)
    Path(name).write_text(key)
    if not there:
        (folder / "operator.key").unlink()
    Secrets(folder).signing_key()
    assert Path(name).exists()
    assert (Secrets(folder).operator_key() == key) == there
    assert sorted(p.name for p in folder.iterdir()) == ["operator.key", "signing.key"]


def test_every_secret_is_another(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / "s")
    values = {
        secrets.signing_key().hex(),
        secrets.pepper().hex(),
        secrets.password("database-owner"),
        secrets.password("database-front"),
    }
    assert len(values) == 4
    assert all(len(value) == 64 for value in values)


def test_those_who_make_a_secret_at_once_agree_on_one(tmp_path: Path) -> None:
    def make(_: int) -> bytes:
        return read_or_make(tmp_path / "s" / "x", lambda: os.urandom(8))

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(make, range(64)))
    assert len(found) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_secret_that_others_can_read_is_refused_with_the_command_to_run(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "s" / "x"
    read_or_make(path, lambda: b"x")
    path.chmod(mode)
    with pytest.raises(Verdict) as refused:
        read_or_make(path, lambda: b"y")
    assert refused.value.code == "secrets.permissions"
    assert refused.value.problems[0].next == f"Run: chmod 600 {path}"


def test_a_folder_in_which_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o700)
    (tmp_path / "s").chmod(0o770)
    with pytest.raises(Verdict):
        read_or_make(tmp_path / "s" / "x", lambda: b"x")


def test_a_key_is_known_by_its_record_only_with_the_pepper() -> None:
    key, pepper = new_api_key(), b"p" * 32
    record = record_of(key, pepper)
    assert key_prefix(key) == record.prefix
    assert key_matches(key, record, pepper)
    assert not key_matches(key, record, b"q" * 32)
    assert not key_matches(new_api_key(), record, pepper)
    assert key.split("_", 2)[2] not in record.model_dump_json()


@pytest.mark.parametrize("text", ["", "of_", "of__", "of_a_", "xx_a_b", "of_a", "of_é_b", "Bearer of_a_b"])
def test_what_is_no_key_matches_nothing(text: str) -> None:
    assert key_prefix(text) is None
    assert not key_matches(text, record_of(new_api_key(), b"p"), b"p")


def test_a_key_has_256_bits_of_secret() -> None:
    assert len(new_api_key().split("_", 2)[2]) == 43
