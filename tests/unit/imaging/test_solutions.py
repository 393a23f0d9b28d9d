"""A question that was solved before has its lock again, as long as the lock is here."""

from pathlib import Path

import pytest

from activities.imaging.lock import read_lock, store_lock
from activities.imaging.solutions import Question, Solutions
from activities.imaging.store import LocalBlobStore
from tests.unit.imaging.publishing import LOCK

QUESTION = Question(
    suite="bookworm",
    arch="amd64",
    wanted=("bash",),
    system=("init",),
    mirrors={"main": "http://mirror.test/debian/", "security": None},
    index="i" * 64,
    tools={"apt": "2.6.1"},
    sources="s" * 64,
)


async def test_a_known_question_has_its_lock(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    Solutions(tmp_path, store).record(QUESTION, await store_lock(store, LOCK))
    found = Solutions(tmp_path, store).find(QUESTION)
    assert found is not None
    assert read_lock(store, found) == LOCK


@pytest.mark.parametrize(
    "change",
    [{"index": "j" * 64}, {"wanted": ("bash", "zsh")}, {"system": ()}, {"suite": "trixie"}, {"tools": {"apt": "3.0"}},
     {"sources": "t" * 64}, {"mirrors": {"main": "http://other.test/", "security": None}}],
)  # fmt: skip
async def test_whatever_decides_the_answer_makes_another_question(tmp_path: Path, change: dict[str, object]) -> None:
    store = LocalBlobStore(tmp_path)
    solutions = Solutions(tmp_path, store)
    solutions.record(QUESTION, await store_lock(store, LOCK))
    assert solutions.find(QUESTION.model_copy(update=change)) is None


async def test_a_lock_that_is_gone_or_a_record_that_is_damaged_is_no_answer(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    solutions = Solutions(tmp_path, store)
    lock = await store_lock(store, LOCK)
    solutions.record(QUESTION, lock)
    store.path(lock).unlink()
    assert solutions.find(QUESTION) is None
    (tmp_path / "solutions" / f"{QUESTION.key}.json").write_text("{")
    assert solutions.find(QUESTION) is None
