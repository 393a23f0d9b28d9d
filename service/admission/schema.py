"""The admission role and its tables: who is let in just now, and who was not.

The role owns its own schema and sees nothing else, and no other role sees that schema.
"""

from typing import Any, LiteralString

import psycopg
from psycopg import Connection
from psycopg.errors import InsufficientPrivilege
from psycopg.sql import SQL, Composed, Identifier

from event_store.roles import put_roles, roles_missing, url_of
from event_store.schema import administration
from service.admission.names import ADMISSION_ROLE, ADMISSION_SCHEMA

_TABLES: tuple[LiteralString, ...] = (
    """
    CREATE TABLE IF NOT EXISTS admission.console_links (
        digest bytea PRIMARY KEY,
        org_id text NOT NULL,
        subject text NOT NULL,
        vm_id text NOT NULL,
        channel text NOT NULL,
        mode text NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS admission.console_sessions (
        session_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        link_digest bytea NOT NULL UNIQUE,
        secret_digest bytea NOT NULL,
        org_id text NOT NULL,
        subject text NOT NULL,
        vm_id text NOT NULL,
        channel text NOT NULL,
        mode text NOT NULL,
        ends_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS admission.guests (
        guest_id text PRIMARY KEY,
        network text NOT NULL,
        minted_by text NOT NULL,
        minted_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz
    )
    """,
    "CREATE INDEX IF NOT EXISTS guests_by_time ON admission.guests (minted_at)",
    """
    CREATE TABLE IF NOT EXISTS admission.denials (
        at timestamptz NOT NULL DEFAULT now(),
        code text NOT NULL,
        what text NOT NULL,
        org_id text NOT NULL,
        subject text NOT NULL,
        network text NOT NULL,
        times bigint NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS denials_by_time ON admission.denials (at)",
)


def migrate_admission(admin_url: str, password: str) -> str:
    """Make role, schema and tables, and answer the role's address. Every step may be repeated.

    Raises:
        Verdict: `database.roles_missing`, with the SQL to run.
        Fault: `database.unavailable`.

    """
    url = url_of(admin_url, ADMISSION_ROLE, password)
    with administration(admin_url) as admin:
        statements = _statements(admin.info.dbname)
        missing = put_roles(admin, {ADMISSION_ROLE: password})
        if missing:
            raise roles_missing(admin, missing, statements)
        _prepare_schema(admin, statements)
        with psycopg.connect(url, autocommit=True) as role:
            for statement in _TABLES:
                role.execute(statement)
    return url


def _prepare_schema(admin: Connection[Any], statements: list[Composed]) -> None:
    try:
        for statement in statements:
            admin.execute(statement)
    except InsufficientPrivilege as error:
        if admin.execute("SELECT to_regnamespace(%s)", (ADMISSION_SCHEMA,)).fetchone() != (None,):
            return  # an administrator has done it
        raise roles_missing(admin, [], statements) from error


def _statements(database: str) -> list[Composed]:
    role, schema = Identifier(ADMISSION_ROLE), Identifier(ADMISSION_SCHEMA)
    return [
        SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(schema, role),
        SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(schema),
        SQL("GRANT CONNECT ON DATABASE {} TO {}").format(Identifier(database), role),
    ]
