"""Where the database of this machine's factory is, for commands that look into it."""

from cli.stack.state import variable_of_parts
from domain.errors import Verdict
from infra.settings import Settings


def owner_url(settings: Settings) -> str:
    """Return the database's address for its owner role: DATABASE_URL, else that of the running stack.

    Raises:
        Verdict: `rebuild.no_database`.

    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return _of_stack(settings, "DATABASE_URL", "rebuild.no_database")


def admission_url(settings: Settings) -> str:
    """Return its address for the admission role: OPENFACTORY_ADMISSION_DATABASE_URL, else that of the running stack.

    Raises:
        Verdict: `guest.no_database`.

    """
    if settings.admission_database_url is not None:
        return settings.admission_database_url.get_secret_value()
    return _of_stack(settings, "OPENFACTORY_ADMISSION_DATABASE_URL", "guest.no_database")


def _of_stack(settings: Settings, variable: str, code: str) -> str:
    """Read an embedded database's address, which is in no file, from the environment of the stack's own parts.

    proc(5) shows it to their user alone.
    """
    if url := variable_of_parts(settings, variable):
        return url
    raise Verdict.because(
        code,
        f"No stack runs on {settings.home}, and {variable} is not set.",
        next=f"Start the stack with ./openfactory up, or set {variable}.",
    )
