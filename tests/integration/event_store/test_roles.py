"""The front sees its organization's rows and nothing else; the owner alone has the log."""

from collections.abc import Generator
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from domain.errors import Verdict
from event_store.log import EventLog
from event_store.rebuild import rebuild_projections
from event_store.schema import Migrated, migrate
from tests.integration.conftest import FRONT_PASSWORD, OWNER_PASSWORD, empty_database
from tests.integration.event_store.builders import append, requested

pytestmark = pytest.mark.integration

DENIED = psycopg.errors.InsufficientPrivilege


@pytest.fixture(scope="module")
def admin_url(postgres_server: str) -> Generator[str]:
    with empty_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="module")
def two_organizations(admin_url: str) -> Migrated:
    database = migrate(admin_url, OWNER_PASSWORD, FRONT_PASSWORD)
    with EventLog(database.owner_url) as log:
        append(log, requested(uuid4(), org="org-a", name="a"))
        append(log, requested(uuid4(), org="org-b", name="b"))
    rebuild_projections(database.owner_url)
    return database


def names_seen(url: str, org: str | None) -> list[str]:
    with psycopg.connect(url) as connection:
        if org is not None:
            connection.execute("SELECT set_config('app.org_id', %s, true)", (org,))
        return [row[0] for row in connection.execute("SELECT name FROM read_model.builds ORDER BY name")]


def test_the_front_sees_only_the_organization_it_names(two_organizations: Migrated) -> None:
    assert names_seen(two_organizations.front_url, "org-a") == ["a"]
    assert names_seen(two_organizations.front_url, "org-b") == ["b"]
    assert names_seen(two_organizations.front_url, "org-c") == []


def test_without_an_organization_the_front_sees_nothing(two_organizations: Migrated) -> None:
    assert names_seen(two_organizations.front_url, None) == []
    assert names_seen(two_organizations.front_url, "") == []
    with psycopg.connect(two_organizations.front_url, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("SELECT set_config('app.org_id', 'org-a', true)")
        left = connection.execute("SELECT count(*) FROM read_model.builds").fetchone()
    assert left == (0,)


def test_the_owner_sees_all(two_organizations: Migrated) -> None:
    assert names_seen(two_organizations.owner_url, None) == ["a", "b"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM event_log.stored_events",
        "INSERT INTO event_log.stored_events VALUES (gen_random_uuid(), 1, 'x', '')",
        "DELETE FROM event_log.stored_events",
        "SELECT * FROM event_log.projections",
        "UPDATE event_log.projections SET position = 0",
        "SELECT event_log.es_insert_events_uuid(NULL)",
        "INSERT INTO read_model.builds (build_id, org_id) VALUES ('x', 'org-a')",
        "UPDATE read_model.builds SET org_id = 'org-a'",
        "DELETE FROM read_model.builds",
        "TRUNCATE read_model.builds",
        "CREATE TABLE read_model.mine ()",
        "CREATE TABLE public.mine ()",
        "CREATE TEMP TABLE mine ()",
        "CREATE SCHEMA mine",
        "ALTER TABLE read_model.builds DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE read_model.builds NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY front_reads_its_organization ON read_model.builds",
        "CREATE POLICY mine ON read_model.builds USING (true)",
        "SET ROLE openfactory_owner",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION openfactory_owner",
        "SET session_replication_role = 'replica'",
        "ALTER ROLE openfactory_front BYPASSRLS",
        "ALTER ROLE openfactory_front SUPERUSER",
        "COPY read_model.builds TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
    ],
)
def test_the_front_is_denied(two_organizations: Migrated, statement: str) -> None:
    with psycopg.connect(two_organizations.front_url) as connection, pytest.raises(DENIED):
        connection.execute(statement)  # type: ignore[arg-type] - literals of this test


def test_the_front_cannot_switch_row_security_off(two_organizations: Migrated) -> None:
    with psycopg.connect(two_organizations.front_url) as connection:
        connection.execute("SET row_security = off")
        with pytest.raises(DENIED):
            connection.execute("SELECT * FROM read_model.builds")


def test_migrating_again_changes_nothing_and_keeps_the_rows(two_organizations: Migrated, admin_url: str) -> None:
    again = migrate(admin_url, OWNER_PASSWORD, FRONT_PASSWORD)
    assert again == two_organizations
    assert again.rebuilt == ()
    assert names_seen(again.owner_url, None) == ["a", "b"]


def test_a_read_model_of_another_shape_is_made_anew(two_organizations: Migrated, admin_url: str) -> None:
    with psycopg.connect(two_organizations.owner_url) as connection:
        connection.execute("UPDATE event_log.projections SET shape = 'older' WHERE name = 'builds'")
        connection.execute("ALTER TABLE read_model.builds DROP COLUMN name")
    assert migrate(admin_url, OWNER_PASSWORD, FRONT_PASSWORD).rebuilt == ("builds",)
    assert names_seen(two_organizations.front_url, "org-a") == ["a"]


def test_the_owner_may_migrate_by_itself_once_the_roles_are_there(two_organizations: Migrated) -> None:
    url = two_organizations.owner_url
    assert migrate(url, OWNER_PASSWORD, FRONT_PASSWORD).owner_url == url


def test_without_the_right_to_make_roles_the_sql_to_run_is_told(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS nobody_special")
        admin.execute("CREATE ROLE nobody_special LOGIN PASSWORD 'x'")
        try:
            with pytest.raises(Verdict) as refused:
                migrate(make_conninfo(postgres_url, user="nobody_special", password="x"), "o", "f")
        finally:
            admin.execute("DROP ROLE nobody_special")
    assert refused.value.code == "database.roles_missing"
    assert "CREATE SCHEMA" in (refused.value.problems[0].next or "")


def test_a_front_role_that_nothing_binds_is_refused(postgres_url: str) -> None:
    migrate(postgres_url, OWNER_PASSWORD, FRONT_PASSWORD)
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("ALTER ROLE openfactory_front BYPASSRLS")
        try:
            with pytest.raises(Verdict) as refused:
                migrate(postgres_url, OWNER_PASSWORD, FRONT_PASSWORD)
        finally:
            admin.execute("ALTER ROLE openfactory_front NOBYPASSRLS")
    assert refused.value.code == "database.front_role_too_strong"
