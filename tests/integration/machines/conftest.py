"""One private libvirtd for all machine tests, and the guests' images."""

import asyncio
import hashlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from activities.job import Job
from activities.machines.boot import BootLimits
from activities.machines.forwards import PortForwards
from activities.machines.libvirt_machines import LibvirtMachines
from activities.machines.models import BootInput
from activities.machines.networks import GuestNetworks
from activities.machines.vm_machines import LibvirtVms
from activities.machines.workspace import Size
from domain.artifacts import Artifact, Blob
from infra.libvirt_client import LibvirtClient, wait_ready
from infra.libvirt_daemon import command
from infra.libvirt_paths import LibvirtPaths
from infra.settings import Settings, load
from tests.fakes.objects import FakeObjectStore
from tests.guests import Behaviour, Kind, tiny_guest

T = TypeVar("T")
READY_SECONDS = 30.0


def blocking(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in a loop of its own: a fixture of the session may be asked for inside a test's loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class Daemon:
    """A private libvirtd's keeper as a child of the test run."""

    def __init__(self, home: Path) -> None:
        self.paths = LibvirtPaths(home=home)
        self.process = subprocess.Popen(command(home), start_new_session=True)
        blocking(self.wait_ready())

    async def wait_ready(self) -> None:
        await wait_ready(self.paths.uri, time.monotonic() + READY_SECONDS)

    def descendants(self, name: str) -> list[psutil.Process]:
        """Processes below the keeper whose name begins with `name`."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [p for p in below if p.is_running() and p.name().startswith(name)]

    def qemu(self, machine: str) -> psutil.Process:
        """The QEMU of a machine, wherever the kernel put it in the tree of processes."""
        own = [
            p
            for p in psutil.process_iter(["cmdline"])
            if f"guest={machine},process=qemu:{machine}" in " ".join(p.info["cmdline"] or ())
        ]
        return own[0]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(READY_SECONDS)


class Lines:
    """A step log in memory."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[float, str]] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, percent: float, text: str) -> None:
        self.steps.append((percent, text))


class House:
    """A home with its libvirtd, its store of blobs and an object store."""

    def __init__(self, settings: Settings, daemon: Daemon) -> None:
        self.settings = settings
        self.daemon = daemon
        self.objects = FakeObjectStore()

    def machines(self, seconds: float = 300.0) -> LibvirtMachines:
        """The port's adapter, anew: it belongs to the event loop of one test."""
        return LibvirtMachines(
            self.settings, self.objects, limits=BootLimits(tcg=seconds, kvm=seconds), size=Size(memory=512, cpus=1)
        )

    def vms(
        self, seconds: float = 300.0, networks: GuestNetworks | None = None, forwards: PortForwards | None = None
    ) -> LibvirtVms:
        """The VMs' adapter, anew."""
        limits = BootLimits(tcg=seconds, kvm=seconds)
        return LibvirtVms(self.settings, self.objects, networks=networks, forwards=forwards, limits=limits)

    async def suspend(self, name: str) -> None:
        """Halt a machine behind everybody's back."""
        client = LibvirtClient(self.daemon.paths.uri)
        await client.call(lambda connection: connection.lookupByName(name).suspend())
        await client.close()

    async def artifact(self, behaviour: Behaviour, kind: Kind) -> Artifact:
        """Put an image with this behaviour into the blob store."""
        return adopt((await tiny_guest(behaviour, kind)).read_bytes(), kind, self.daemon.paths.store)

    async def empty_iso(self) -> Artifact:
        """A CD-ROM without anything on it."""
        return adopt(bytes(4 << 20), "iso", self.daemon.paths.store)

    async def order(self, job: str, behaviour: Behaviour, *kinds: Kind) -> BootInput:
        artifacts = [await self.artifact(behaviour, kind) for kind in kinds]
        return BootInput(job=Job(job_id=job, org_id="o"), recipe={}, artifacts=tuple(artifacts))


def adopt(data: bytes, kind: Kind, store: Path) -> Artifact:
    """Put the bytes of an image into the blob store at `store`."""
    digest = hashlib.sha256(data).hexdigest()
    target = store / digest[:2] / digest
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o444)
    return Artifact(kind=kind, name=f"guest.{kind}", blob=Blob(digest=digest, bytes=target.stat().st_size))


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="of-m-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def house(home: Path) -> Iterator[House]:
    settings = load({"OPENFACTORY_HOME": str(home), "OPENFACTORY_ACCELERATOR": "tcg"})
    daemon = Daemon(home)
    yield House(settings, daemon)
    daemon.stop()


@pytest.fixture
def small_house() -> Iterator[House]:
    """A home on a disk of its own, which is soon full."""
    with tempfile.TemporaryDirectory(prefix="of-s-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=720m,mode=0755", "tmpfs", folder], check=True)
        try:
            daemon = Daemon(Path(folder))
            settings = load({"OPENFACTORY_HOME": folder, "OPENFACTORY_ACCELERATOR": "tcg"})
            yield House(settings, daemon)
            daemon.stop()
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
