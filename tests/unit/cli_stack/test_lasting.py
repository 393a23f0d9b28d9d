import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.stack import lasting
from cli.stack.lasting import Complaint
from cli.stack.part import LastingError

FULL = LastingError(said=b"no space left", folder=Path("/"), room_bytes=100)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the disk will have free, from one look to the next."""
    coming: list[int] = []
    monkeypatch.setattr(lasting, "_PAUSE_SECONDS", 0)

    def usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=coming.pop(0))

    monkeypatch.setattr("shutil.disk_usage", usage)
    return coming


async def test_a_complaint_outlasts_its_cause_once_the_disk_has_room(free: list[int]) -> None:
    free[:] = [0, 99, 100]
    complaint = Complaint(FULL)
    complaint.listen(b"write: no space left on device\n")
    await complaint.outlasts_its_cause()
    assert free == []


async def test_words_in_two_pieces_are_heard(free: list[int]) -> None:
    free[:] = [100]
    complaint = Complaint(FULL)
    for piece in (b"write: no sp", b"a", b"ce left on device"):
        complaint.listen(piece)
    await complaint.outlasts_its_cause()


@pytest.mark.parametrize("error", [FULL, None])
async def test_who_does_not_complain_is_left_alone(free: list[int], error: LastingError | None) -> None:
    free[:] = [100]
    complaint = Complaint(error)
    complaint.listen(b"no space" if error else b"no space left")
    waiting = asyncio.ensure_future(complaint.outlasts_its_cause())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    assert free == [100]
