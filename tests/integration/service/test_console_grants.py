"""Links and sessions of consoles: the same on the fake and in PostgreSQL."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from domain.console import ConsoleGrant
from domain.errors import Fault, Verdict
from event_store.schema import migrate
from service.admission.database import AdmissionDatabase
from service.admission.grants import LINK_LIFETIME, SESSION_LENGTH, ConsoleGrants
from service.admission.schema import migrate_admission
from service.ports import ConsoleAdmission
from tests.fakes.consoles import FakeGrants
from tests.integration.conftest import ADMISSION_PASSWORD, FRONT_PASSWORD, OWNER_PASSWORD

pytestmark = pytest.mark.integration

GRANT = ConsoleGrant(org_id="org-a", subject="ann", vm_id="vm-1", channel="vnc", mode="view")

Make = Callable[..., ConsoleAdmission]


@pytest.fixture
def admission_url(postgres_url: str) -> str:
    return migrate_admission(postgres_url, ADMISSION_PASSWORD)


@pytest.fixture(params=["fake", "real"])
async def make(request: pytest.FixtureRequest) -> AsyncGenerator[Make]:
    """Make grants that share one memory, with lifetimes of their own."""
    async with AsyncExitStack() as stack:
        if request.param == "fake":
            yield FakeGrants
        else:
            url: str = request.getfixturevalue("admission_url")
            database = await stack.enter_async_context(AdmissionDatabase(url))

            def real(*, lifetime: timedelta = LINK_LIFETIME, length: timedelta = SESSION_LENGTH) -> ConsoleAdmission:
                return ConsoleGrants(database, lifetime=lifetime, length=length)

            yield real


async def test_a_link_opens_its_console_once(make: Make) -> None:
    grants = make()
    link = await grants.mint(GRANT)
    assert timedelta(seconds=50) < link.expires_at - datetime.now(UTC) < timedelta(seconds=70)
    opened = await grants.open(link.token)
    assert opened is not None
    assert opened.session.grant == GRANT
    assert timedelta(hours=3) < opened.session.ends_at - datetime.now(UTC) < timedelta(hours=5)
    assert await grants.open(link.token) is None
    assert await grants.open("another") is None


async def test_of_many_who_open_a_link_at_once_one_gets_it(make: Make) -> None:
    grants = make()
    link = await grants.mint(GRANT)
    opened = await asyncio.gather(*(grants.open(link.token) for _ in range(20)))
    assert len([each for each in opened if each is not None]) == 1


async def test_a_link_that_expired_opens_nothing(make: Make) -> None:
    grants = make(lifetime=timedelta(0))
    link = await grants.mint(GRANT)
    assert await grants.open(link.token) is None


async def test_a_session_is_found_by_its_link_and_its_secret_together(make: Make) -> None:
    grants = make()
    first, second = await grants.mint(GRANT), await grants.mint(GRANT.model_copy(update={"vm_id": "vm-2"}))
    opened, other = await grants.open(first.token), await grants.open(second.token)
    assert opened is not None
    assert other is not None
    assert await grants.find(first.token, opened.secret) == opened.session
    assert await grants.find(first.token, other.secret) is None
    assert await grants.find(second.token, opened.secret) is None
    assert await grants.find("", "") is None
    assert await grants.living([opened.session.id, other.session.id]) == {opened.session.id, other.session.id}


async def test_a_session_ends_after_its_length(make: Make) -> None:
    grants = make(length=timedelta(0))
    link = await grants.mint(GRANT)
    opened = await grants.open(link.token)
    assert opened is not None
    assert await grants.find(link.token, opened.secret) is None
    assert await grants.living([opened.session.id]) == frozenset()


async def test_what_is_revoked_opens_nothing_and_is_no_session_any_more(make: Make) -> None:
    grants = make()
    used, unused = await grants.mint(GRANT), await grants.mint(GRANT)
    opened = await grants.open(used.token)
    kept = await grants.mint(GRANT.model_copy(update={"vm_id": "vm-2"}))
    foreign = await grants.mint(GRANT.model_copy(update={"org_id": "org-b"}))
    assert opened is not None
    assert await grants.revoke("org-a", vm_id="vm-1") == 2
    assert await grants.revoke("org-a", vm_id="vm-1") == 0
    assert await grants.living([opened.session.id]) == frozenset()
    assert await grants.find(used.token, opened.secret) is None
    assert await grants.open(unused.token) is None
    assert await grants.open(kept.token) is not None
    assert await grants.revoke("org-a", subject="ann") == 1
    assert await grants.open(foreign.token) is not None


async def test_no_table_holds_a_token_or_a_secret(postgres_url: str, admission_url: str) -> None:
    async with AdmissionDatabase(admission_url) as database:
        grants = ConsoleGrants(database)
        unused, used = await grants.mint(GRANT), await grants.mint(GRANT)
        opened = await grants.open(used.token)
    assert opened is not None
    with psycopg.connect(postgres_url) as admin:
        rows = [
            admin.execute("SELECT t::text FROM admission.console_links t").fetchall(),
            admin.execute("SELECT t::text FROM admission.console_sessions t").fetchall(),
        ]
    assert [len(each) for each in rows] == [1, 1]
    for secret in (unused.token, used.token, opened.secret):
        assert secret not in str(rows)
        assert secret.encode().hex() not in str(rows)


async def test_what_has_expired_is_swept(postgres_url: str, admission_url: str) -> None:
    async with AdmissionDatabase(admission_url) as database:
        await ConsoleGrants(database, lifetime=timedelta(0)).mint(GRANT)
        brief = ConsoleGrants(database, length=timedelta(0))
        await brief.open((await brief.mint(GRANT)).token)
        await ConsoleGrants(database).mint(GRANT)
    with psycopg.connect(postgres_url) as admin:
        assert admin.execute("SELECT count(*) FROM admission.console_links").fetchone() == (1,)
        assert admin.execute("SELECT count(*) FROM admission.console_sessions").fetchone() == (0,)


async def test_a_database_that_is_away_is_a_fault(admission_url: str) -> None:
    async with AdmissionDatabase(make_conninfo(admission_url, port=9)) as database:
        with pytest.raises(Fault) as refused:
            await ConsoleGrants(database).open("x")
    assert refused.value.code == "database.unavailable"


def test_each_role_sees_its_own_schema_alone(postgres_url: str) -> None:
    database = migrate(postgres_url, OWNER_PASSWORD, FRONT_PASSWORD)
    url = migrate_admission(postgres_url, ADMISSION_PASSWORD)
    assert migrate_admission(postgres_url, ADMISSION_PASSWORD) == url
    denied = psycopg.errors.InsufficientPrivilege
    for role, statement in (
        (url, "SELECT * FROM event_log.stored_events"),
        (url, "SELECT * FROM read_model.builds"),
        (url, "CREATE SCHEMA mine"),
        (url, "SET ROLE openfactory_owner"),
        (database.front_url, "SELECT * FROM admission.console_links"),
        (database.owner_url, "SELECT * FROM admission.console_links"),
    ):
        with psycopg.connect(role) as connection, pytest.raises(denied):
            connection.execute(statement)  # type: ignore[arg-type] - literals of this test


def test_without_the_right_to_make_the_schema_the_sql_to_run_is_told(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS nobody_special")
        admin.execute("CREATE ROLE nobody_special LOGIN PASSWORD 'x'")
        try:
            with pytest.raises(Verdict) as refused:
                migrate_admission(make_conninfo(postgres_url, user="nobody_special", password="x"), ADMISSION_PASSWORD)
        finally:
            admin.execute("DROP ROLE nobody_special")
    assert refused.value.code == "database.roles_missing"
    assert "admission" in (refused.value.problems[0].next or "")
