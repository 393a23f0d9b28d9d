"""The two roles of the database: the owner migrates, appends and projects; the front only reads.

The front owns nothing, so row-level security binds it, and it has no right on the log's schema.
"""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege
from psycopg.sql import SQL, Composed, Identifier, Literal

from domain.errors import Verdict
from event_store.names import FRONT_ROLE, LOG_SCHEMA, OWNER_ROLE, READ_SCHEMA

_ATTRIBUTES: LiteralString = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT"


def ensure_roles(connection: Connection[Any], passwords: Mapping[str, str]) -> None:
    """Make the roles or bring them up to date, each with its password; harmless to repeat.

    Without the right to make roles, roles that are there are taken as they are. A password goes to the
    server as its SCRAM verifier (RFC 5803), so no log of statements can hold it.

    Raises:
        Verdict: `database.roles_missing`, with the SQL to run.

    """
    missing = put_roles(connection, passwords)
    if missing:
        raise roles_missing(connection, missing, _schema_statements(connection.info.dbname))
    _check_front(connection)


def put_roles(connection: Connection[Any], passwords: Mapping[str, str]) -> list[str]:
    """Make the roles or bring them up to date, as above; returns those that are missing and may not be made."""
    missing = [role for role in passwords if not _exists(connection, role)]
    if not _may_make_roles(connection):
        return missing
    for role, password in passwords.items():
        verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        made = SQL("ALTER ROLE {}" if role not in missing else f"CREATE ROLE {{}} {_ATTRIBUTES}")
        statement = SQL("{} PASSWORD {}").format(made.format(Identifier(role)), Literal(verifier.decode()))
        connection.execute(statement)
    return []


def ensure_schemas(connection: Connection[Any]) -> None:
    """Make the two schemas and say who may enter them; harmless to repeat.

    Raises:
        Verdict: `database.roles_missing` without the right to do so, with the SQL to run.

    """
    try:
        for statement in _schema_statements(connection.info.dbname):
            connection.execute(statement)
    except InsufficientPrivilege as error:
        raise roles_missing(connection, [], _schema_statements(connection.info.dbname)) from error


def url_of(admin_url: str, role: str, password: str) -> str:
    """Address of the same database for another role."""
    return make_conninfo(admin_url, user=role, password=password)


def _schema_statements(database: str) -> list[Composed]:
    owner, front, db = Identifier(OWNER_ROLE), Identifier(FRONT_ROLE), Identifier(database)
    log, read = Identifier(LOG_SCHEMA), Identifier(READ_SCHEMA)
    return [
        SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(log, owner),
        SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(read, owner),
        SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(db),
        SQL("GRANT CONNECT ON DATABASE {} TO {}, {}").format(db, owner, front),
        SQL("REVOKE ALL ON SCHEMA {}, {}, public FROM PUBLIC").format(log, read),
        SQL("GRANT USAGE ON SCHEMA {} TO {}").format(read, front),
    ]


def _exists(connection: Connection[Any], role: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None


def _may_make_roles(connection: Connection[Any]) -> bool:
    query = "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreaterole)"
    return connection.execute(query).fetchone() is not None


def _check_front(connection: Connection[Any]) -> None:
    """Refuse a front role that row-level security would not bind."""
    query = "SELECT rolsuper OR rolbypassrls OR pg_has_role(rolname, %s, 'MEMBER') FROM pg_roles WHERE rolname = %s"
    found = connection.execute(query, (OWNER_ROLE, FRONT_ROLE)).fetchone()
    if found is not None and found[0]:
        raise Verdict.because(
            "database.front_role_too_strong",
            f"the role {FRONT_ROLE} is a superuser, bypasses row-level security or is a member of {OWNER_ROLE}",
            next=f"Run: ALTER ROLE {FRONT_ROLE} NOSUPERUSER NOBYPASSRLS; REVOKE {OWNER_ROLE} FROM {FRONT_ROLE};",
        )


def roles_missing(connection: Connection[Any], missing: Sequence[str], statements: Sequence[Composed]) -> Verdict:
    """Say what an administrator has to run, with the statements that come behind the roles."""
    made = [f"CREATE ROLE {role} {_ATTRIBUTES} PASSWORD '…';" for role in missing]
    schemas = [f"{statement.as_string(connection)};" for statement in statements]
    sql = "\n".join([*made, *schemas])
    lacking = f"has no role {' and no role '.join(missing)}" if missing else "is not prepared"
    return Verdict.because(
        "database.roles_missing",
        f"the database {lacking}, and {connection.info.user} may not do it",
        next=f"Run this as a database administrator, with passwords of your own, then start again:\n{sql}",
    )
