"""The book of guests: the same on the fake and in PostgreSQL. Denials are in their table within a second."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import psycopg
import pytest

from domain.errors import RateLimited
from domain.guest import Guest
from infra.guest_tokens import GuestSigner
from service.admission.database import AdmissionDatabase
from service.admission.denials import Denial, Denials, counted
from service.admission.guests import LIFETIME, PER_DAY, PER_NETWORK, GuestBook
from service.admission.schema import migrate_admission
from service.guest_ports import Guests
from tests.fakes.guests import FakeGuests
from tests.integration.conftest import ADMISSION_PASSWORD

pytestmark = pytest.mark.integration

HERE, THERE = "192.0.2.1", "198.51.100.1"


class Book(Guests, Protocol):
    """A book with what the operator does."""

    async def latest(self, limit: int = 100) -> tuple[Guest, ...]: ...

    async def revoke(self, guest_id: str) -> bool: ...


Make = Callable[..., Book]


@dataclass
class Books:
    """How books are made, and how time passes for the guests in them."""

    make: Make
    later: Callable[[timedelta], None]


@pytest.fixture
def admission_url(postgres_url: str) -> str:
    return migrate_admission(postgres_url, ADMISSION_PASSWORD)


class FakeClock:
    """Runs, and is put forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def later(self, time: timedelta) -> None:
        self._ahead += time


@pytest.fixture(params=["fake", "real"])
async def books(request: pytest.FixtureRequest) -> AsyncGenerator[Books]:
    async with AsyncExitStack() as stack:
        if request.param == "fake":
            clock = FakeClock()
            yield Books(partial(FakeGuests, clock.now), clock.later)
        else:
            url: str = request.getfixturevalue("admission_url")
            database = await stack.enter_async_context(AdmissionDatabase(url))

            def real(*, lifetime: timedelta = LIFETIME, per_network: int = PER_NETWORK, per_day: int = PER_DAY) -> Book:
                signer = GuestSigner(b"k" * 32)
                return GuestBook(database, signer, lifetime=lifetime, per_network=per_network, per_day=per_day)

            def later(time: timedelta) -> None:
                with psycopg.connect(url) as connection:
                    connection.execute("UPDATE admission.guests SET minted_at = minted_at - %s", (time,))

            yield Books(real, later)


@pytest.fixture
def make(books: Books) -> Make:
    return books.make


async def test_a_guest_is_found_by_its_token_alone(make: Make) -> None:
    book = make()
    made = await book.mint(network=HERE, minted_by="page")
    assert await book.find(made.token) == made.guest
    assert made.guest.network == HERE
    assert timedelta(days=29) < made.guest.expires_at - datetime.now(UTC) < timedelta(days=31)
    assert await book.find(made.token[:-1]) is None
    assert await book.find(GuestSigner(b"x" * 32).close(made.guest.guest_id, made.guest.expires_at)) is None
    assert await book.find(GuestSigner(b"k" * 32).close("ffffffffffffffff", made.guest.expires_at)) is None


async def test_a_revoked_guest_says_so_and_the_first_time_stays(make: Make) -> None:
    book = make()
    made = await book.mint(network=HERE, minted_by="operator")
    assert await book.revoke(made.guest.guest_id)
    found = await book.find(made.token)
    assert found is not None
    assert found.revoked_at is not None
    assert await book.revoke(made.guest.guest_id)
    assert await book.find(made.token) == found
    assert not await book.revoke("nobody")
    assert await book.latest() == (found,)


async def test_of_many_at_once_one_network_gets_its_number_and_the_operator_is_not_bound(make: Make) -> None:
    book = make(per_network=3)
    answers = await asyncio.gather(
        *(book.mint(network=HERE, minted_by="page") for _ in range(20)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, RateLimited)]
    assert len(refused) == 17
    assert all(limited.retry_after >= 1 and limited.problems[0].next for limited in refused)
    await book.mint(network=THERE, minted_by="page")
    await book.mint(network=HERE, minted_by="operator")


async def test_all_networks_together_get_only_so_many_a_day(make: Make) -> None:
    book = make(per_day=2)
    for number in range(2):
        await book.mint(network=f"192.0.2.{number}", minted_by="page")
    with pytest.raises(RateLimited):
        await book.mint(network="192.0.2.9", minted_by="page")


async def wait_of(book: Book, network: str) -> timedelta:
    """Ask for one guest too many and return for how long none is made."""
    with pytest.raises(RateLimited) as refused:
        await book.mint(network=network, minted_by="page")
    return timedelta(seconds=refused.value.retry_after)


async def test_a_full_network_waits_for_its_own_guests_and_not_for_anothers(books: Books) -> None:
    book = books.make(per_network=2)
    await book.mint(network=THERE, minted_by="page")
    books.later(timedelta(hours=23))
    await book.mint(network=HERE, minted_by="page")
    books.later(timedelta(minutes=30))
    await book.mint(network=HERE, minted_by="page")
    wait = await wait_of(book, HERE)
    assert timedelta(hours=23) < wait < timedelta(hours=24)
    books.later(wait - timedelta(minutes=1))
    assert await wait_of(book, HERE) < timedelta(minutes=2)
    books.later(timedelta(minutes=1))
    await book.mint(network=HERE, minted_by="page")


async def test_when_all_together_are_too_many_the_oldest_of_all_is_waited_for(books: Books) -> None:
    book = books.make(per_day=2)
    await book.mint(network=THERE, minted_by="page")
    books.later(timedelta(hours=23))
    await book.mint(network=HERE, minted_by="page")
    assert await wait_of(book, "192.0.2.9") <= timedelta(hours=1)


async def test_who_meets_both_limits_waits_until_neither_holds(books: Books) -> None:
    book = books.make(per_network=1, per_day=2)
    await book.mint(network=THERE, minted_by="page")
    books.later(timedelta(hours=23))
    await book.mint(network=HERE, minted_by="page")
    assert await wait_of(book, HERE) > timedelta(hours=23)
    assert await wait_of(book, THERE) <= timedelta(hours=1)


async def test_no_table_holds_a_token(admission_url: str) -> None:
    async with AdmissionDatabase(admission_url) as database:
        made = await GuestBook(database, GuestSigner(b"k" * 32)).mint(network=HERE, minted_by="page")
    with psycopg.connect(admission_url) as connection:
        rows = connection.execute("SELECT g::text FROM admission.guests g").fetchall()
    assert rows
    assert all(made.token not in row[0] and made.token[4:] not in row[0] for row in rows)


async def test_denials_are_counted_and_kept(admission_url: str) -> None:
    wrong = Denial("auth.invalid", "/mcp-stream/mcp", network=HERE)
    spent = Denial("build.quota", "create_build", "guest-a", "guest a")
    async with AdmissionDatabase(admission_url) as database:
        async with Denials(database) as denials:
            for denial in (wrong, wrong, spent):
                denials.note(denial)
            await denials.flush()
            denials.note(wrong)
        assert await counted(database, 1) == ((wrong, 3), (spent, 1))


async def test_a_flood_of_denials_stays_small(admission_url: str) -> None:
    async with AdmissionDatabase(admission_url) as database, Denials(database) as denials:
        for number in range(20_000):
            denials.note(Denial("auth.invalid", "/", network=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
        await denials.flush()
        found = await counted(database, 1)
    assert sum(times for _, times in found) >= 15_000
    assert (Denial("auth.invalid", "…"), 15_000) in found
