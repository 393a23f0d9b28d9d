"""What each part is told. A part's environment holds what is listed here and nothing else."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cli.stack.endpoints import Endpoints
from cli.stack.leftovers import PART_MARK
from infra.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[2]

_OF_THE_MACHINE: Final = ("LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_OF_HOSTS: Final = (
    "OPENFACTORY_ACCELERATOR",
    "OPENFACTORY_BUILDS",
    "OPENFACTORY_MIRROR",
    "OPENFACTORY_SECURITY_MIRROR",
    "OPENFACTORY_IMAGE_MIRROR",
)
_OF_RELAYS: Final = ("OPENFACTORY_RELAY_SECRET", "OPENFACTORY_RELAY_URL")
_SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Environments:
    """Makes environments for the parts of one stack from `environ`, which is the supervisor's own."""

    def __init__(self, settings: Settings, endpoints: Endpoints, environ: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._environ = os.environ if environ is None else environ

    def base(self, part: str) -> dict[str, str]:
        """Paths and locale, and the marks by which the part is known (`cli.stack.leftovers`)."""
        home = self._settings.home
        return {
            **self._copied(_OF_THE_MACHINE),
            "PATH": _SEARCH_PATH,
            "HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "OPENFACTORY_HOME": str(home),
            PART_MARK: part,
        }

    def python(self, part: str) -> dict[str, str]:
        """What every program of ours gets: the settings that hold no secret."""
        settings = self._settings
        return {
            **self.base(part),
            **self._copied(("OPENFACTORY_ALLOWED_HOSTS", "OPENFACTORY_EGRESS_ALLOW")),
            "PYTHONPATH": str(ROOT),
            "PYTHONSAFEPATH": "1",
            "PYTHONNOUSERSITE": "1",
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": "1",
            "OPENFACTORY_BIND": settings.bind,
            "OPENFACTORY_PORT": str(settings.port),
            "OPENFACTORY_URL": settings.public_url,
            "OPENFACTORY_HOST_ID": settings.host_id,
        }

    def temporal(self) -> dict[str, str]:
        """The workflow engine."""
        temporal = self._endpoints.temporal
        key = {} if temporal.api_key is None else {"TEMPORAL_API_KEY": temporal.api_key.get_secret_value()}
        return {"TEMPORAL_ADDRESS": temporal.address, "TEMPORAL_NAMESPACE": temporal.namespace, **key}

    def objects(self) -> dict[str, str]:
        """The object store and its keys."""
        s3 = self._endpoints.s3
        return {
            "S3_ENDPOINT": s3.endpoint,
            "S3_ACCESS_KEY": s3.access_key,
            "S3_SECRET_KEY": s3.secret_key.get_secret_value(),
            "S3_BUCKET": s3.bucket,
            "S3_REGION": s3.region,
        }

    def owner(self) -> dict[str, str]:
        """The database as the role that owns it: for what appends and projects."""
        return {"DATABASE_URL": self._endpoints.owner_url.get_secret_value()}

    def front(self) -> dict[str, str]:
        """The database as the role that only reads and as the one that lets in: for the faces."""
        return {
            "OPENFACTORY_FRONT_DATABASE_URL": self._endpoints.front_url.get_secret_value(),
            "OPENFACTORY_ADMISSION_DATABASE_URL": self._endpoints.admission_url.get_secret_value(),
            **self._copied(("OPENFACTORY_GUESTS", "OPENFACTORY_TRUSTED_PROXIES", *_OF_RELAYS)),
        }

    def migration(self) -> dict[str, str]:
        """The database as a role that may make the others, and their passwords."""
        return {
            "DATABASE_URL": self._endpoints.admin_url.get_secret_value(),
            "OPENFACTORY_OWNER_PASSWORD": self._endpoints.owner_password.get_secret_value(),
            "OPENFACTORY_FRONT_PASSWORD": self._endpoints.front_password.get_secret_value(),
            "OPENFACTORY_ADMISSION_PASSWORD": self._endpoints.admission_password.get_secret_value(),
        }

    def host(self) -> dict[str, str]:
        """What the work on this machine needs: the hypervisor, the mirrors and the road to them."""
        return {
            **self._copied((*_OF_HOSTS, *_OF_RELAYS, *_PROXIES)),
            "OPENFACTORY_RELAY_BIND": self._endpoints.relay_bind,
            "OPENFACTORY_LIBVIRT_URI": self._endpoints.libvirt_uri,
        }

    def _copied(self, names: tuple[str, ...]) -> dict[str, str]:
        return {name: self._environ[name] for name in names if self._environ.get(name)}
