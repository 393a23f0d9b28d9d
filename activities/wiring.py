"""The one place where adapters are built: what a worker process needs, opened and closed again."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

from activities.imaging.activities import ImagingActivities
from activities.imaging.assemble import ImageAssembler
from activities.imaging.import_image import ImageImporter
from activities.imaging.layers import LayerFactory
from activities.imaging.publish import ObjectPublisher
from activities.imaging.resolve import AptResolver
from activities.imaging.store import LayerIndex, LocalBlobStore
from activities.imaging.workspace import sweep_workspaces
from activities.machines.activities import MachineActivities
from activities.machines.libvirt_machines import LibvirtMachines
from activities.record import RecordActivities
from activities.session import StepSessions
from activities.verification.activities import VerificationActivities
from activities.verification.verifier import GuestVerifier
from domain.errors import FactoryError, Verdict
from domain.model import Value
from domain.version import VERSION
from event_store.log import EventLog
from infra.log_stream import JobLog
from infra.objects import S3ObjectStore
from infra.settings import Settings

SWEEP_SECONDS = 60.0

_log = logging.getLogger(__name__)


class Identity(Value):
    """The host, and the task queue that is its own."""

    host: str
    queue: str


@dataclass(frozen=True)
class HostActivities:
    """All activities of a host."""

    imaging: ImagingActivities
    machines: MachineActivities
    verification: VerificationActivities


@contextmanager
def open_recording(settings: Settings) -> Generator[RecordActivities]:
    """Open the event log for a core worker.

    Raises:
        Verdict: `settings.invalid` without a database's address.

    """
    if settings.database_url is None:
        raise _missing("DATABASE_URL")
    with EventLog(settings.database_url.get_secret_value()) as log:
        yield RecordActivities(log)


@asynccontextmanager
async def open_host(settings: Settings) -> AsyncGenerator[HostActivities]:
    """Open everything that a host works with, after clearing away what a dead worker left.

    Raises:
        Verdict: `settings.invalid` without an object store's address.

    """
    if settings.s3 is None:
        raise _missing("S3_ENDPOINT")
    swept = await sweep_workspaces(settings.home)
    if swept:
        _log.info("removed %d workspaces of an earlier worker", swept)
    objects = S3ObjectStore(settings.s3)
    machines = LibvirtMachines(settings, objects)
    housekeeping = asyncio.create_task(_keep_sweeping(machines))
    try:
        yield _activities(settings, objects, machines)
    finally:
        housekeeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await housekeeping
        await machines.close()
        await objects.aclose()


def _activities(settings: Settings, objects: S3ObjectStore, machines: LibvirtMachines) -> HostActivities:
    sessions = StepSessions(partial(JobLog.open, objects))
    store = LocalBlobStore(settings.home)
    imaging = ImagingActivities(
        identity=Identity(host=settings.host_id, queue=f"host:{settings.host_id}"),
        sessions=sessions,
        store=store,
        resolver=AptResolver(settings, store),
        layers=LayerFactory(settings, store, LayerIndex(settings.home, store)),
        assembler=ImageAssembler(settings.home, store),
        publisher=ObjectPublisher(settings.home, store, objects, version=VERSION),
        importer=ImageImporter(settings.home, store, objects),
    )
    return HostActivities(
        imaging=imaging,
        machines=MachineActivities(sessions=sessions, machines=machines),
        verification=VerificationActivities(sessions=sessions, checker=GuestVerifier(machines)),
    )


async def _keep_sweeping(machines: LibvirtMachines) -> None:
    """End machines that are past their time: what a terminated workflow could not give back."""
    while True:
        try:
            ended = await machines.sweep(time.time())
            if ended:
                _log.info("removed %d machines that nobody waits for", ended)
        except FactoryError as error:
            _log.warning("could not look for old machines: %s", error)
        await asyncio.sleep(SWEEP_SECONDS)


def _missing(variable: str) -> Verdict:
    return Verdict.because(
        "settings.invalid",
        f"{variable} is not set",
        path=variable,
        next="Start the stack with `openfactory up`, which sets it for its parts, or set it yourself.",
    )
