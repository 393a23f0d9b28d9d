"""The front as it is run: MCP server and gateway as processes, on a real PostgreSQL, S3 and Temporal.

No worker runs: what happens to a build is appended to the real log by the tests, and brought to the
read model by the real projector.
"""

import contextlib
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from event_store.front import FrontDatabase
from event_store.schema import Migrated, migrate
from infra.keys import Secrets
from infra.settings import S3Settings
from service.admission.schema import migrate_admission
from tests.integration.conftest import ADMISSION_PASSWORD, FRONT_PASSWORD, OWNER_PASSWORD, server
from tests.ports import free_ports

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


@dataclass
class FrontStack:
    """Where everything is, and the processes of the front by module name."""

    home: Path
    gateway_port: int
    mcp_port: int
    database: Migrated
    s3: S3Settings
    temporal: str
    admission_url: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict[str, subprocess.Popen[bytes]])

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def secrets(self) -> Secrets:
        """The secrets that the processes use."""
        return Secrets(self.home / "secrets")

    def start(self, module: str) -> None:
        """Run `python -m module` and wait until it answers."""
        log = (self.home / f"{module}.log").open("ab")
        argv = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", module]
        with log:
            process = subprocess.Popen(argv, cwd=self.home, env=self._environment(), stdout=log, stderr=log)
        self.processes[module] = process
        port = {"mcp_server": self.mcp_port, "console": self.gateway_port, "event_store.projector": None}[module]
        if port is not None:
            wait_until(lambda: answers(port), lambda: (self.home / f"{module}.log").read_text()[-3000:])

    def stop(self, module: str, number: int = signal.SIGTERM) -> int:
        """End a process and return its status."""
        process = self.processes.pop(module)
        process.send_signal(number)
        try:
            return process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail(f"{module} did not stop")

    async def shown(self, build_id: object, version: int) -> None:
        """Wait until the read model shows a build that is in the log."""
        async with FrontDatabase(self.database.front_url) as front:
            assert await front.wait_for("local", "builds", str(build_id), version, _START_SECONDS)

    def peak_memory(self, module: str) -> int:
        """Return the highest resident size of a process so far, in bytes (VmHWM, proc(5))."""
        text = Path(f"/proc/{self.processes[module].pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) * 1024

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(_ROOT),
            "OPENFACTORY_HOME": str(self.home),
            "OPENFACTORY_PORT": str(self.gateway_port),
            "OPENFACTORY_GUESTS": "on",
            "OPENFACTORY_MCP_URL": f"http://127.0.0.1:{self.mcp_port}",
            "OPENFACTORY_FRONT_DATABASE_URL": self.database.front_url,
            "OPENFACTORY_ADMISSION_DATABASE_URL": self.admission_url,
            "DATABASE_URL": self.database.owner_url,
            "TEMPORAL_ADDRESS": self.temporal,
            "S3_ENDPOINT": self.s3.endpoint,
            "S3_ACCESS_KEY": self.s3.access_key,
            "S3_SECRET_KEY": self.s3.secret_key.get_secret_value(),
            "S3_BUCKET": self.s3.bucket,
        }


@pytest.fixture(scope="session")
def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Address of a Temporal development server."""
    binary = shutil.which("temporal", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert binary is not None
    port, http_port, metrics = free_ports(3)
    address = f"127.0.0.1:{port}"
    names = ("JobKind", "JobState", "OrgId", "Recipe")
    argv = [
        *(binary, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)),
        *("--http-port", str(http_port), "--metrics-port", str(metrics)),
        *(word for name in names for word in ("--search-attribute", f"{name}=Keyword")),
    ]
    describe = [binary, "operator", "namespace", "describe", "default", "--address", address]

    def ready() -> bool:
        return subprocess.run(describe, capture_output=True, check=False).returncode == 0

    with server(argv, tmp_path_factory.mktemp("temporal") / "log", ready, signal.SIGTERM):
        yield address


@pytest.fixture(scope="session")
def front_stack(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str, s3_server: S3Settings, temporal_address: str
) -> Generator[FrontStack]:
    """Return the front, up and answering."""
    name = f"front_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    admin_url = make_conninfo(postgres_server, dbname=name)
    database = migrate(admin_url, OWNER_PASSWORD, FRONT_PASSWORD)
    admission_url = migrate_admission(admin_url, ADMISSION_PASSWORD)
    gateway, mcp = free_ports(2)
    home = tmp_path_factory.mktemp("front")
    bucket = s3_server.model_copy(update={"bucket": f"front-{secrets.token_hex(6)}"})
    stack = FrontStack(home, gateway, mcp, database, bucket, temporal_address, admission_url)
    try:
        for module in ("event_store.projector", "mcp_server", "console"):
            stack.start(module)
        yield stack
    finally:
        for module in tuple(stack.processes):
            stack.stop(module, signal.SIGKILL)


def wait_until(ready: Callable[[], bool], why: Callable[[], str]) -> None:
    """Ask until it is so, or fail with the last that was seen."""
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"it did not come up:\n{why()}")
        time.sleep(0.05)


def answers(port: int) -> bool:
    """Tell whether an HTTP server on the loopback says it is alive."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()
    return False


def listens(port: int) -> bool:
    """Tell whether anybody listens on the port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
