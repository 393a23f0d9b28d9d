"""A fact is appended once, however often and by however many it is told."""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import OperationalError, StoredEvent
from eventsourcing.utils import retry
from psycopg.conninfo import make_conninfo

from domain.build.events import BuildEvent
from domain.errors import Fault, Verdict
from event_store.log import EventLog, Recorder, Statement
from event_store.mapper import Cause
from event_store.schema import Migrated
from tests.integration.event_store.builders import append, cause, requested, whole_build

pytestmark = pytest.mark.integration


@pytest.fixture
def log(database: Migrated) -> Generator[EventLog]:
    with EventLog(database.owner_url) as opened:
        yield opened


def count(database: Migrated) -> int:
    with psycopg.connect(database.owner_url) as connection:
        found = connection.execute("SELECT count(*) FROM event_log.stored_events").fetchone()
        assert found is not None
        return int(found[0])


def test_events_are_read_back_equal_and_in_order_under_their_names(log: EventLog, database: Migrated) -> None:
    build = uuid4()
    events = tuple(whole_build(build))
    assert append(log, *events).version == len(events)
    found = log.read(build)
    assert tuple(r.event for r in found) == events
    assert [r.originator_version for r in found] == list(range(1, len(events) + 1))
    with psycopg.connect(database.owner_url) as connection:
        names = [row[0] for row in connection.execute("SELECT DISTINCT topic FROM event_log.stored_events")]
    assert sorted(names) == sorted({e.NAME for e in events})


def test_an_event_has_the_id_that_follows_from_its_cause(log: EventLog) -> None:
    build, why = uuid4(), cause()
    log.append(build, why, lambda _: (requested(build),))
    assert log.read(build)[0].id == why.event_id(build, "build.requested.v1", 0)


def test_a_stream_that_is_not_there_is_empty(log: EventLog) -> None:
    assert log.read(uuid4()) == ()


def test_the_same_cause_appends_once(log: EventLog, database: Migrated) -> None:
    build, why = uuid4(), cause()
    first = log.append(build, why, lambda _: (requested(build),))
    again = log.append(build, why, lambda _: (requested(build),))
    assert (first.version, first.appended) == (1, 1)
    assert (again.version, again.appended) == (1, 0)
    assert count(database) == 1


def test_the_beginning_of_a_stream_is_appended_once_without_reading_it_first(log: EventLog, database: Migrated) -> None:
    build, mine = uuid4(), cause()
    first = requested(build)
    assert log.append(build, mine, lambda _: (first,), begins=True).appended == 1
    again = log.append(build, mine, lambda _: (first,), begins=True)
    assert (again.version, again.appended) == (1, 0)

    def once(history: tuple[BuildEvent, ...]) -> Sequence[BuildEvent]:
        return () if history else (first,)

    assert log.append(build, cause(), once, begins=True).appended == 0
    assert count(database) == 1


def test_eight_at_once_with_one_cause_store_one_event(log: EventLog, database: Migrated) -> None:
    build, why = uuid4(), cause()

    def once(_: int) -> int:
        return log.append(build, why, lambda _: (requested(build),)).appended

    with ThreadPoolExecutor(8) as pool:
        appended = list(pool.map(once, range(8)))
    assert sorted(appended) == [0] * 7 + [1]
    assert count(database) == 1


def test_eight_at_once_with_causes_of_their_own_are_all_appended_one_after_another(log: EventLog) -> None:
    build = uuid4()
    append(log, requested(build))
    more = list(whole_build(build))[1:9]

    def one(event: BuildEvent) -> int:
        return append(log, event).version

    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(one, more))
    assert sorted(versions) == list(range(2, 10))
    assert {r.event.model_dump_json() for r in log.read(build)[1:]} == {e.model_dump_json() for e in more}


def test_a_decision_is_made_anew_when_another_was_faster(log: EventLog) -> None:
    build, seen = uuid4(), list[int]()

    def decide(history: tuple[BuildEvent, ...]) -> Sequence[BuildEvent]:
        seen.append(len(history))
        if not history:
            append(log, requested(build))
            return (requested(build),)
        return ()

    assert log.append(build, cause(), decide).appended == 0
    assert seen == [0, 1]


def test_a_commit_whose_answer_was_lost_is_found_again(
    log: EventLog, database: Migrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library tries again after an OperationalError; the events of the first try are then there."""
    insert, lost = Recorder.insert_events, list[bool]()

    @retry(OperationalError, max_attempts=3, wait=0.0)
    def insert_and_lose(self: Recorder, events: Sequence[StoredEvent], **kwargs: object) -> None:
        insert(self, events, **kwargs)
        if not lost:
            lost.append(True)
            raise OperationalError("the connection was lost after COMMIT")

    monkeypatch.setattr(Recorder, "insert_events", insert_and_lose)
    build = uuid4()
    done = log.append(build, cause(), lambda _: (requested(build),))
    assert lost
    assert done.version == 1
    assert count(database) == 1


def test_what_decide_refuses_is_not_written(log: EventLog, database: Migrated) -> None:
    def refuse(_: tuple[BuildEvent, ...]) -> Sequence[BuildEvent]:
        raise Verdict.because("build.not_retryable", "no")

    with pytest.raises(Verdict):
        log.append(uuid4(), cause(), refuse)
    assert count(database) == 0


def test_a_statement_of_the_same_transaction_stands_or_falls_with_the_events(log: EventLog, database: Migrated) -> None:
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("CREATE TABLE event_log.quota (used int CHECK (used <= 1))")
        connection.execute("INSERT INTO event_log.quota VALUES (0)")
    reserve = [("UPDATE event_log.quota SET used = used + %s", (1,))]
    build, refused = uuid4(), uuid4()
    log.append(build, cause(), lambda _: (requested(build),), also=reserve)
    with pytest.raises(Fault):
        log.append(refused, cause(), lambda _: (requested(refused),), also=reserve)
    assert log.read(refused) == ()
    assert count(database) == 1


class Unhurried(tuple[Statement, ...]):
    """Statements between which the server has time to answer."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Statement]:
        for statement in super().__iter__():
            yield statement
            sleep(0.2)


def test_what_the_database_refuses_is_told_also_when_its_answer_comes_early(log: EventLog) -> None:
    """Then later statements meet a pipeline that is aborted, which is nobody's question."""
    with pytest.raises(Fault, match="division by zero"):
        log.append(uuid4(), cause(), lambda _: (requested(uuid4()),), also=Unhurried((("SELECT 1/0", ()),)))
    build = uuid4()
    assert log.append(build, cause(), lambda _: (requested(build),)).appended == 1


def test_the_same_activity_of_another_run_is_another_cause(log: EventLog) -> None:
    build = uuid4()
    log.append(build, Cause(run_id="one", activity_id="1"), lambda _: (requested(build),))
    second = list(whole_build(build))[1]
    assert log.append(build, Cause(run_id="two", activity_id="1"), lambda _: (second,)).appended == 1


def test_history_cannot_be_changed_even_by_the_owner(log: EventLog, database: Migrated) -> None:
    append(log, requested(uuid4()))
    for statement in ("UPDATE {} SET topic = 'x'", "DELETE FROM {}", "TRUNCATE {}"):
        with (
            psycopg.connect(database.owner_url) as connection,
            pytest.raises(psycopg.errors.RaiseException, match="only ever appended"),
        ):
            connection.execute(statement.format("event_log.stored_events"))  # type: ignore[arg-type] - built from literals


def test_a_database_that_is_away_is_a_fault(database: Migrated) -> None:
    url = make_conninfo(database.owner_url, port=9, connect_timeout=1)
    with EventLog(url) as log, pytest.raises(Fault) as failed:
        log.read(uuid4())
    assert failed.value.code == "log.unavailable"
