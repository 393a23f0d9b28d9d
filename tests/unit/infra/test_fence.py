"""When the last fence around the VMs closes."""

import errno
from pathlib import Path

import pytest

from infra import fence


def test_a_host_that_never_had_a_lease_is_not_fenced(tmp_path: Path) -> None:
    assert not fence.has_lapsed(tmp_path, 1e9)


def test_the_fence_closes_some_seconds_after_the_lease_has_lapsed(tmp_path: Path) -> None:
    fence.tell(tmp_path, 100.0)
    assert not fence.has_lapsed(tmp_path, 100.0 + fence.GRACE_SECONDS)
    assert fence.has_lapsed(tmp_path, 100.1 + fence.GRACE_SECONDS)
    fence.tell(tmp_path, 200.0)
    assert not fence.has_lapsed(tmp_path, 150.0)


def test_a_full_disk_does_not_keep_the_fence_from_being_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fence.tell(tmp_path, 100.0)

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    fence.tell(tmp_path, 12_345.5)
    assert not fence.has_lapsed(tmp_path, 12_345.0)
    assert fence.has_lapsed(tmp_path, 12_346.0 + fence.GRACE_SECONDS)


def test_a_file_that_says_nothing_sensible_closes_nothing(tmp_path: Path) -> None:
    (tmp_path / fence.HELD_UNTIL).write_text("soon", encoding="ascii")
    assert not fence.has_lapsed(tmp_path, 1e9)


def test_a_process_that_is_no_vm_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "qemu").mkdir()
    (tmp_path / "qemu" / "vm-0123.pid").write_text("1", encoding="ascii")
    (tmp_path / "proc" / "1").mkdir(parents=True)
    (tmp_path / "proc" / "1" / "cmdline").write_bytes(b"init\0")
    assert fence.end_vms(tmp_path, tmp_path / "proc") == 0
