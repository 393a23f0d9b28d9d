"""Opens the real parts of the factory from the settings. Faces import settings from here too."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from domain.errors import Verdict
from event_store.front import FrontDatabase
from infra.client_sessions import SessionSeal
from infra.console_tickets import ticket_signer
from infra.guest_tokens import GuestSigner
from infra.keys import Secrets
from infra.log_reader import LogReader
from infra.objects import S3ObjectStore
from infra.settings import Settings
from infra.signed_links import LinkSigner
from infra.uploads import UploadSigner
from service.admission.credentials import OperatorKeyVerifier
from service.admission.database import AdmissionDatabase
from service.admission.denials import Denials
from service.admission.grants import ConsoleGrants
from service.admission.guests import GuestBook
from service.factory import Factory
from service.hosts import allowed_hosts
from service.recipe_catalog import load_catalog
from workflows.client import FactoryClient
from workflows.connect import LazyConnection
from workflows.image_client import ImageClient
from workflows.rebuild_client import RebuildClient
from workflows.recipe_client import RecipeClient
from workflows.suite_client import SuiteClient
from workflows.vm_client import VmClient

__all__ = ["Settings", "open_factory"]


@asynccontextmanager
async def open_factory(settings: Settings) -> AsyncGenerator[Factory]:
    """Open every part once, and close them at the end.

    A part that does not answer yet is no reason to stay down: what needs it raises `Fault` until it does.

    Raises:
        Verdict: `settings.invalid` if a part has no address.

    """
    if (
        settings.front_database_url is None
        or settings.admission_database_url is None
        or settings.s3 is None
        or settings.temporal is None
    ):
        raise Verdict.because(
            "settings.invalid",
            "OPENFACTORY_FRONT_DATABASE_URL, OPENFACTORY_ADMISSION_DATABASE_URL, S3_ENDPOINT and TEMPORAL_ADDRESS "
            "must be set",
            next="Start the stack with ./openfactory up, which sets them for its parts.",
        )
    secrets = Secrets(settings.secrets)
    objects = S3ObjectStore(settings.s3)
    connected = LazyConnection(settings)
    try:
        async with (
            FrontDatabase(settings.front_database_url.get_secret_value()) as reads,
            AdmissionDatabase(settings.admission_database_url.get_secret_value()) as admission,
            Denials(admission) as denials,
        ):
            yield Factory(
                reads=reads,
                workflows=FactoryClient(connected),
                images=ImageClient(connected),
                tests=SuiteClient(connected),
                saved_recipes=RecipeClient(connected),
                vms=VmClient(connected),
                rebuilds=RebuildClient(connected),
                logs=LogReader(objects),
                objects=objects,
                links=LinkSigner(secrets.signing_key()),
                uploads=UploadSigner(secrets.signing_key()),
                consoles=ConsoleGrants(admission),
                tickets=ticket_signer(settings),
                sessions=SessionSeal(secrets.signing_key()),
                credentials=OperatorKeyVerifier(secrets.operator_key()),
                denials=denials,
                guests=GuestBook(admission, GuestSigner(secrets.signing_key())) if settings.guests else None,
                catalog=load_catalog(),
                public_url=settings.public_url,
                allowed_hosts=allowed_hosts(settings.public_url, settings.allowed_hosts),
            )
    finally:
        await objects.aclose()
