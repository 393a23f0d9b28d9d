"""Opens the real parts of the factory from the settings. Faces import settings from here too."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from domain.build.inputs import BuildRequest
from domain.errors import Verdict
from event_store.front import FrontDatabase
from infra.keys import Secrets
from infra.log_reader import LogReader
from infra.objects import S3ObjectStore
from infra.settings import Settings, load
from infra.signed_links import LinkSigner
from infra.telemetry import configure_logging
from service.admission.credentials import OperatorKeyVerifier
from service.factory import Factory
from service.hosts import allowed_hosts
from service.recipe_catalog import load_catalog
from workflows.client import FactoryClient
from workflows.commands import CancelCommand, RetryCommand, ValidateInput, ValidateResult
from workflows.connect import connect

__all__ = ["Settings", "configure_logging", "load_settings", "open_factory"]


def load_settings() -> Settings:
    """Read the settings from the environment; raises `Verdict` (`settings.invalid`)."""
    return load()


@asynccontextmanager
async def open_factory(settings: Settings) -> AsyncGenerator[Factory]:
    """Open every part once, and close them at the end.

    A part that does not answer yet is no reason to stay down: what needs it raises `Fault` until it does.

    Raises:
        Verdict: `settings.invalid` if a part has no address.

    """
    if settings.front_database_url is None or settings.s3 is None or settings.temporal is None:
        raise Verdict.because(
            "settings.invalid",
            "OPENFACTORY_FRONT_DATABASE_URL, S3_ENDPOINT and TEMPORAL_ADDRESS must be set",
            next="Start the stack with ./openfactory up, which sets them for its parts.",
        )
    secrets = Secrets(settings.secrets)
    objects = S3ObjectStore(settings.s3)
    try:
        async with FrontDatabase(settings.front_database_url.get_secret_value()) as reads:
            yield Factory(
                reads=reads,
                workflows=LazyWorkflows(settings),
                logs=LogReader(objects),
                objects=objects,
                links=LinkSigner(secrets.signing_key()),
                credentials=OperatorKeyVerifier(secrets.operator_key()),
                catalog=load_catalog(),
                public_url=settings.public_url,
                allowed_hosts=allowed_hosts(settings.public_url, settings.allowed_hosts),
            )
    finally:
        await objects.aclose()


class LazyWorkflows:
    """The workflow client, connected at its first use, so that the order of starting does not matter."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connecting = asyncio.Lock()
        self._connected: FactoryClient | None = None

    async def start_build(self, request: BuildRequest) -> None:
        """Start the build's workflow; starting the same id again is harmless."""
        await (await self._client()).start_build(request)

    async def build_known(self, build_id: str, org_id: str) -> str | None:
        """Return the input digest of the organization's workflow of this build, or nothing."""
        return await (await self._client()).build_known(build_id, org_id)

    async def retry_build(self, build_id: str, command: RetryCommand) -> None:
        """Ask a parked build to go on."""
        await (await self._client()).retry_build(build_id, command)

    async def cancel_build(self, build_id: str, command: CancelCommand) -> None:
        """Ask a build to end."""
        await (await self._client()).cancel_build(build_id, command)

    async def validate_recipe(self, request: ValidateInput) -> ValidateResult:
        """Have a worker solve the recipe's packages."""
        return await (await self._client()).validate_recipe(request)

    async def ping(self) -> None:
        """Return if the workflow engine answers; raises `Fault` otherwise."""
        await (await self._client()).ping()

    async def _client(self) -> FactoryClient:
        async with self._connecting:
            if self._connected is None:
                self._connected = FactoryClient(await connect(self._settings))
            return self._connected
