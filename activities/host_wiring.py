"""Builds the adapters of a host worker: what it needs, opened and closed again. It holds no database's address."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from temporalio.client import Client

from activities.consoles.relay import ConsoleRelay
from activities.imaging.activities import ImagingActivities
from activities.imaging.assemble import ImageAssembler
from activities.imaging.collect_activities import CollectStoreActivities
from activities.imaging.compare import PackageComparer
from activities.imaging.import_image import ImageImporter
from activities.imaging.layers import LayerFactory
from activities.imaging.publish import ObjectPublisher
from activities.imaging.resolve import AptResolver
from activities.imaging.store import LayerIndex, LocalBlobStore, sweep_partial
from activities.imaging.store_room import StoreRoom
from activities.imaging.workspace import sweep_workspaces
from activities.machines.accelerator import AcceleratorProbe, sweep_proofs
from activities.machines.activities import MachineActivities
from activities.machines.forwards import PortForwards
from activities.machines.host_capacity import HostAddress, capacity_of
from activities.machines.host_lease import HostLease
from activities.machines.hypervisor import Hypervisor
from activities.machines.libvirt_machines import LibvirtMachines
from activities.machines.networks import GuestNetworks
from activities.machines.ssh_guest import GuestSsh
from activities.machines.vm_activities import VmActivities
from activities.machines.vm_machines import LibvirtVms
from activities.machines.vm_models import HostCapacity
from activities.machines.vm_ports import Observer
from activities.session import StepSessions
from activities.verification.activities import VerificationActivities, VmTestActivities
from activities.verification.reports import ReportActivities
from activities.verification.verifier import GuestVerifier
from activities.verification.vm_checks import VmChecker
from domain.errors import FactoryError
from domain.model import Value
from domain.version import VERSION
from infra.console_tickets import ticket_signer
from infra.libvirt_client import LibvirtClient
from infra.libvirt_paths import LibvirtPaths
from infra.log_stream import JobLog
from infra.objects import S3ObjectStore
from infra.settings import Settings, missing

SWEEP_SECONDS = 60.0
_ADOPT_SECONDS = 1.0

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
    vms: VmActivities
    tests: VmTestActivities
    reports: ReportActivities
    collect: CollectStoreActivities


@dataclass(frozen=True)
class Host:
    """A host at work: its activities, and what it does for its VMs unasked."""

    activities: HostActivities
    address: HostAddress
    vms: LibvirtVms
    _probe: AcceleratorProbe
    _paths: LibvirtPaths
    _lease_file: Path

    def lease(self, client: Client, announce: Callable[[HostCapacity], Awaitable[None]]) -> HostLease:
        """Make the keeper of this host's lease, which announces the host to the fleet."""

        async def announced() -> None:
            accelerator = (await self._probe.decide(None)).kind
            capacity = await asyncio.to_thread(
                capacity_of, self.address, self._paths, accelerator, await self.vms.running()
            )
            await announce(capacity)

        return HostLease(self._lease_file, client, self.vms, announced)

    async def attend(self, lease: HostLease, observer: Observer) -> None:
        """Keep the lease, watch the VMs and clear away what nobody owns, until cancelled."""
        await _adopted(self.vms)
        async with asyncio.TaskGroup() as duties:
            duties.create_task(lease.keep())
            duties.create_task(self.vms.watch(observer).run())
            duties.create_task(_keep_sweeping("VMs", self.vms.sweep))


@asynccontextmanager
async def open_host(settings: Settings) -> AsyncGenerator[Host]:
    """Open everything that a host works with, after clearing away what a dead worker left.

    Raises:
        Verdict: `settings.invalid` without an object store's address.

    """
    if settings.s3 is None:
        raise missing("S3_ENDPOINT")
    swept = await sweep_workspaces(settings.home)
    if swept:
        _log.info("removed %d workspaces of an earlier worker", swept)
    swept = await asyncio.to_thread(sweep_partial, settings.home)
    if swept:
        _log.info("removed %d files that an earlier worker had begun to write", swept)
    objects = S3ObjectStore(settings.s3)
    paths = LibvirtPaths(home=settings.home)
    swept = await asyncio.to_thread(sweep_proofs, paths)
    if swept:
        _log.info("removed %d kernels that an earlier worker had tried KVM with", swept)
    libvirt = LibvirtClient(settings.libvirt_uri or paths.uri)
    networks = GuestNetworks(paths)
    forwards = PortForwards(settings.home / "host" / "forwards.json", networks.open_guest_port)
    hypervisor = Hypervisor(libvirt)
    machines = LibvirtMachines(settings, objects, networks=networks)
    ssh = GuestSsh(hypervisor, networks)
    vms = LibvirtVms(settings, objects, networks=networks, forwards=forwards, ssh=ssh)
    housekeeping = asyncio.create_task(_keep_sweeping("machines", lambda: machines.sweep(time.time())))
    relay = ConsoleRelay(ticket_signer(settings), vms.screen, vms)
    try:
        async with relay.serve(settings.relay_bind, settings.relay_url) as relay_url:
            identity = Identity(host=settings.host_id, queue=f"host:{settings.host_id}")
            yield Host(
                activities=_activities(settings, identity, objects, machines, vms),
                address=HostAddress(host=identity.host, queue=identity.queue, relay=relay_url, builds=settings.builds),
                vms=vms,
                _probe=AcceleratorProbe(
                    settings.accelerator, settings.home / "cache" / "accelerator.json", paths, hypervisor
                ),
                _paths=paths,
                _lease_file=settings.home / "host" / "lease.json",
            )
    finally:
        housekeeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await housekeeping
        await forwards.shutdown()
        await vms.close()
        await machines.close()
        await libvirt.close()
        await objects.aclose()


def _activities(
    settings: Settings, identity: Identity, objects: S3ObjectStore, machines: LibvirtMachines, vms: LibvirtVms
) -> HostActivities:
    sessions = StepSessions(partial(JobLog.open, objects))
    store = LocalBlobStore(settings.home)
    room = StoreRoom(settings.home, settings.disk, vms.images_in_use)
    resolver = AptResolver(settings, store, objects)
    imaging = ImagingActivities(
        identity=identity,
        sessions=sessions,
        store=store,
        resolver=resolver,
        layers=LayerFactory(settings, store, LayerIndex(settings.home, store)),
        assembler=ImageAssembler(settings.home, store),
        publisher=ObjectPublisher(settings.home, store, objects, version=VERSION),
        importer=ImageImporter(settings.home, store, objects),
        room=room,
        comparer=PackageComparer(resolver, objects),
    )
    return HostActivities(
        imaging=imaging,
        machines=MachineActivities(sessions=sessions, machines=machines),
        verification=VerificationActivities(sessions=sessions, checker=GuestVerifier(machines)),
        vms=VmActivities(vms=vms),
        tests=VmTestActivities(sessions=sessions, tester=VmChecker(vms, objects)),
        reports=ReportActivities(objects),
        collect=CollectStoreActivities(identity.host, room),
    )


async def _keep_sweeping(what: str, sweep: Callable[[], Awaitable[int]]) -> None:
    """Clear away, now and then, what a terminated workflow could not give back."""
    while True:
        try:
            ended = await sweep()
            if ended:
                _log.info("removed %d %s that nobody waits for", ended, what)
        except FactoryError as error:
            _log.warning("could not look for old %s: %s", what, error)
        await asyncio.sleep(SWEEP_SECONDS)


async def _adopted(vms: LibvirtVms) -> None:
    """Go on with the VMs that an earlier worker left, as soon as libvirt answers."""
    while True:
        try:
            running = await vms.adopt()
        except FactoryError as error:
            _log.warning("could not look for running VMs: %s", error)
            await asyncio.sleep(_ADOPT_SECONDS)
            continue
        if running:
            _log.info("went on with %d VMs", running)
        return
