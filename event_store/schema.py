"""Brings a database to what this release needs. Every step may be repeated; two at once wait for each other."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Composed, Identifier

from domain.errors import Fault
from domain.model import Value
from event_store.catalog import PROJECTIONS
from event_store.log import create_log_tables
from event_store.metering_schema import METERING_STATEMENTS
from event_store.names import FRONT_ROLE, LOG_SCHEMA, LOG_TABLE, OWNER_ROLE, PROJECTIONS_TABLE
from event_store.projection import Projection
from event_store.rebuild import drop_left, rebuild_projections
from event_store.reservations import RESERVATION_STATEMENTS
from event_store.roles import ensure_roles, ensure_schemas, url_of

_MIGRATION_LOCK = 0x0F_AC_70_12  # an arbitrary number, the same in every release
_CONNECT_SECONDS = 10


class Migrated(Value):
    """The addresses for the two roles, and the read models that were made anew."""

    owner_url: str
    front_url: str
    rebuilt: tuple[str, ...]


def migrate(admin_url: str, owner_password: str, front_password: str) -> Migrated:
    """Make roles, schemas, log and read models; a read model whose shape has changed is rebuilt.

    `admin_url` may be a superuser's, or the owner role's own when the roles are there already.

    Raises:
        Verdict: `database.roles_missing`.
        Fault: `database.unavailable`.

    """
    owner_url = url_of(admin_url, OWNER_ROLE, owner_password)
    front_url = url_of(admin_url, FRONT_ROLE, front_password)
    with administration(admin_url) as admin:
        as_owner = admin.info.user == OWNER_ROLE
        ensure_roles(admin, {OWNER_ROLE: owner_password, FRONT_ROLE: front_password})
        if not as_owner or not _schemas_are_there(admin):
            ensure_schemas(admin)
        rebuilt = _migrate_as_owner(admin_url if as_owner else owner_url)
    return Migrated(owner_url=admin_url if as_owner else owner_url, front_url=front_url, rebuilt=rebuilt)


@contextmanager
def administration(admin_url: str) -> Generator[Connection[Any]]:
    """Connect for a migration; whoever else migrates this database waits.

    Raises:
        Fault: `database.unavailable`.

    """
    with _typed_errors(), psycopg.connect(admin_url, autocommit=True, connect_timeout=_CONNECT_SECONDS) as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
        yield admin


def _migrate_as_owner(owner_url: str) -> tuple[str, ...]:
    create_log_tables(owner_url)
    with psycopg.connect(owner_url, autocommit=True) as owner:
        with owner.transaction():
            for statement in _LOG_STATEMENTS:
                owner.execute(statement)
            stale = [p for p in PROJECTIONS if not _is_current(owner, p)]
        drop_left(owner)
    if stale:
        rebuild_projections(owner_url, stale)
    return tuple(projection.name for projection in stale)


def _is_current(connection: Connection[Any], projection: Projection[Any]) -> bool:
    """Tell whether the read model has this release's shape; a new one is made, empty and at position 0."""
    at = Identifier(LOG_SCHEMA, PROJECTIONS_TABLE)
    query = SQL("SELECT shape FROM {} WHERE name = %s").format(at)
    found = connection.execute(query, (projection.name,)).fetchone()
    if found is not None:
        return bool(found[0] == projection.shape)
    for statement in (*projection.create(projection.name), *projection.protect(projection.name)):
        connection.execute(statement)
    connection.execute(
        SQL("INSERT INTO {} (name, position, shape) VALUES (%s, 0, %s)").format(at),
        (projection.name, projection.shape),
    )
    return True


def _schemas_are_there(connection: Connection[Any]) -> bool:
    query = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('event_log', 'read_model')"
    found = connection.execute(query).fetchone()
    return found is not None and found[0] == len(("event_log", "read_model"))


_LOG = Identifier(LOG_SCHEMA, LOG_TABLE)
_GUARD = Identifier(LOG_SCHEMA, "refuse_to_change_history")
_LOG_STATEMENTS: tuple[Composed, ...] = (
    SQL("CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, position bigint NOT NULL, shape text NOT NULL)").format(
        Identifier(LOG_SCHEMA, PROJECTIONS_TABLE)
    ),
    SQL(
        "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'the event log is only ever appended to'; END$$"
    ).format(_GUARD),
    SQL(
        "CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {} "
        "FOR EACH STATEMENT EXECUTE FUNCTION {}()"
    ).format(_LOG, _GUARD),
    *RESERVATION_STATEMENTS,
    *METERING_STATEMENTS,
    SQL("REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM PUBLIC").format(Identifier(LOG_SCHEMA)),
    SQL("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {} FROM PUBLIC").format(Identifier(LOG_SCHEMA)),
)


@contextmanager
def _typed_errors() -> Generator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise Fault.because(
            "database.unavailable",
            f"the database cannot be migrated: {error}",
            next="Look at the database and at the address it is configured with.",
        ) from error
