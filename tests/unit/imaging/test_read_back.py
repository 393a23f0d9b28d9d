"""What was read back counts for as long as nobody has written the object again."""

from datetime import UTC, datetime

from activities.imaging.read_back import ReadBacks
from domain.artifacts import Blob
from infra.ports import ObjectInfo

BLOB = Blob(digest="ab" * 32, bytes=10)


def there(version: str = "v1", size: int = 10) -> ObjectInfo:
    return ObjectInfo(key="blobs/x", bytes=size, modified=datetime(2030, 1, 1, tzinfo=UTC), version=version)


def test_the_same_version_need_not_be_read_again() -> None:
    seen = ReadBacks(lambda: 0.0)
    assert not seen.hold(BLOB, there())
    seen.note(BLOB, there())
    assert seen.hold(BLOB, there())


def test_what_was_written_again_removed_or_cut_short_is_read_again() -> None:
    seen = ReadBacks(lambda: 0.0)
    seen.note(BLOB, there())
    assert not seen.hold(BLOB, there("v2"))
    assert not seen.hold(BLOB, None)
    assert not seen.hold(BLOB, there(size=9))


def test_a_store_that_tells_no_version_is_never_trusted() -> None:
    seen = ReadBacks(lambda: 0.0)
    seen.note(BLOB, there(""))
    assert not seen.hold(BLOB, there(""))


def test_after_a_day_it_is_read_again() -> None:
    now = 0.0
    seen = ReadBacks(lambda: now)
    seen.note(BLOB, there())
    now = 24 * 3600 + 1.0
    assert not seen.hold(BLOB, there())
