"""Where everything is: what is configured stays, what is not is embedded and gets an address here."""

from pydantic import Field, SecretStr

from domain.errors import Verdict
from domain.model import Value
from event_store.names import FRONT_ROLE, OWNER_ROLE
from infra import embedded_postgres
from infra.keys import Secrets
from infra.libvirt_paths import LibvirtPaths
from infra.settings import S3Settings, Settings, TemporalSettings
from service.admission.names import ADMISSION_ROLE


class Endpoints(Value):
    """The addresses of all parts. `admin_url` is for migrations alone: its role may make the others."""

    temporal: TemporalSettings
    temporal_ui: str | None
    admin_url: SecretStr
    owner_password: SecretStr
    front_password: SecretStr
    admission_password: SecretStr
    owner_url: SecretStr
    front_url: SecretStr
    admission_url: SecretStr
    s3: S3Settings
    libvirt_uri: str
    mcp_url: str
    relay_bind: str
    embedded: frozenset[str] = Field(description="The parts that this stack runs itself.")


def find_endpoints(settings: Settings, ports: dict[str, int]) -> Endpoints:
    """Combine what is configured with the ports of what is embedded."""
    secrets = Secrets(settings.secrets)
    given = {
        "temporal": settings.temporal,
        "postgres": settings.database_url,
        "s3": settings.s3,
        "libvirt": settings.libvirt_uri,
        "mcp": settings.mcp_url,
    }
    temporal_ui = None if settings.temporal else f"http://127.0.0.1:{ports['temporal_ui']}"
    owner = secrets.password("database-owner")
    admin_url, owner_url = _database(settings, ports["postgres"], secrets, owner)
    port = ports["postgres"] if settings.database_url is None else None
    front_url, front = _of_role(
        settings.front_database_url, port, admin_url, FRONT_ROLE, secrets.password("database-front")
    )
    admission_url, admission = _of_role(
        settings.admission_database_url, port, admin_url, ADMISSION_ROLE, secrets.password("database-admission")
    )
    return Endpoints(
        temporal=settings.temporal or TemporalSettings(address=f"127.0.0.1:{ports['temporal']}"),
        temporal_ui=temporal_ui,
        admin_url=SecretStr(admin_url),
        owner_password=SecretStr(owner),
        front_password=SecretStr(front),
        admission_password=SecretStr(admission),
        owner_url=SecretStr(owner_url),
        front_url=SecretStr(front_url),
        admission_url=SecretStr(admission_url),
        s3=settings.s3 or _embedded_s3(ports["s3"], secrets),
        libvirt_uri=settings.libvirt_uri or LibvirtPaths(home=settings.home).uri,
        mcp_url=settings.mcp_url or f"http://127.0.0.1:{ports['mcp']}",
        relay_bind=_relay_bind(settings, ports["relay"]),
        embedded=frozenset(name for name, value in given.items() if value is None),
    )


def _embedded_s3(port: int, secrets: Secrets) -> S3Settings:
    return S3Settings(
        endpoint=f"http://127.0.0.1:{port}",
        access_key="openfactory",
        secret_key=SecretStr(secrets.password("s3")),
    )


def _database(settings: Settings, port: int, secrets: Secrets, owner: str) -> tuple[str, str]:
    if settings.database_url is None:
        admin = embedded_postgres.url(port, embedded_postgres.SUPERUSER, secrets.password("postgres"))
        return admin, embedded_postgres.url(port, OWNER_ROLE, owner)
    admin = settings.database_url.get_secret_value()
    return admin, admin if _user_of(admin) == OWNER_ROLE else _for_role(admin, OWNER_ROLE, owner)


def _relay_bind(settings: Settings, port: int) -> str:
    """Where the console relay listens: at the same port after a restart, because machines keep its address."""
    address, _, given = settings.relay_bind.rpartition(":")
    return f"{address}:{port}" if int(given) == 0 else settings.relay_bind


def _of_role(given: SecretStr | None, port: int | None, admin: str, role: str, password: str) -> tuple[str, str]:
    """Find a role's address and password; `port` is that of an embedded server, whose supervisor loads no psycopg."""
    if given is not None:
        return given.get_secret_value(), _password_of(given.get_secret_value())
    return _for_role(admin, role, password) if port is None else embedded_postgres.url(port, role, password), password


def _for_role(url: str, role: str, password: str) -> str:
    from event_store.roles import url_of  # noqa: PLC0415 - psycopg, and only a configured database needs it here

    return url_of(url, role, password)


def _user_of(url: str) -> str:
    return str(_parts_of(url).get("user", ""))


def _password_of(url: str) -> str:
    return str(_parts_of(url).get("password", ""))


def _parts_of(url: str) -> dict[str, object]:
    from psycopg import ProgrammingError  # noqa: PLC0415 - as above
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        return dict(conninfo_to_dict(url))
    except ProgrammingError:
        raise Verdict.because(
            "settings.invalid",
            "DATABASE_URL, OPENFACTORY_FRONT_DATABASE_URL and OPENFACTORY_ADMISSION_DATABASE_URL must look like "
            "postgresql://user:password@host:port/name",
            path="DATABASE_URL",
        ) from None
