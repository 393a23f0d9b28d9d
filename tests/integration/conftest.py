"""The embedded servers, each started once for all tests that ask for it."""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from event_store.schema import Migrated, migrate
from infra import embedded_postgres
from infra.settings import S3Settings
from tests.ports import free_port, free_ports

_START_SECONDS = 60.0
_PASSWORD = "test-superuser"
OWNER_PASSWORD = "test-owner"
FRONT_PASSWORD = "test-front"
ADMISSION_PASSWORD = "test-admission"


@contextlib.contextmanager
def server(argv: Sequence[str], log: Path, ready: Callable[[], bool], stop: int) -> Generator[subprocess.Popen[bytes]]:
    """Run a server that dies with this process; `ready` is asked until it says so."""
    with log.open("ab") as out:
        started = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *argv], stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            if started.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{argv[0]} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield started
    finally:
        started.send_signal(stop)
        try:
            started.wait(5)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[S3Settings]:
    """A SeaweedFS on the loopback, with a bucket name of its own."""
    home = tmp_path_factory.mktemp("s3")
    settings = S3Settings(endpoint="", access_key="tests", secret_key=SecretStr(secrets.token_hex(16)))
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": "tests", "secretKey": settings.secret_key.get_secret_value()}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (home / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (home / "data").mkdir()
    port, *others = free_ports(8)
    with server(_weed_argv(home, port, others), home / "log", lambda: _answers_http(port), signal.SIGKILL):
        yield settings.model_copy(update={"endpoint": f"http://127.0.0.1:{port}"})
    for number in others:  # killed, it leaves its sockets
        for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
            left.unlink()


@pytest.fixture
def s3_settings(s3_server: S3Settings) -> S3Settings:
    """Settings of a bucket that no other test uses."""
    return s3_server.model_copy(update={"bucket": f"test-{secrets.token_hex(6)}"})


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Address of a fresh PostgreSQL, as its superuser."""
    home = tmp_path_factory.mktemp("postgres")
    (home / "password").write_text(_PASSWORD)
    subprocess.run(
        embedded_postgres.initdb_argv(home / "data", home / "password"), check=True, stdout=subprocess.DEVNULL
    )
    port = free_port()
    url = embedded_postgres.url(port, embedded_postgres.SUPERUSER, _PASSWORD)
    with server(
        embedded_postgres.server_argv(home / "data", port), home / "log", lambda: _answers_sql(url), signal.SIGINT
    ):
        yield url
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Generator[str]:
    """Address of an empty database that no other test uses, as the superuser."""
    with empty_database(postgres_server) as url:
        yield url


@contextlib.contextmanager
def empty_database(postgres_server: str) -> Generator[str]:
    """Make a database and drop it again."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        yield make_conninfo(postgres_server, dbname=name)
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def database(postgres_url: str) -> Migrated:
    """A migrated database and the addresses of its two roles."""
    return migrate(postgres_url, OWNER_PASSWORD, FRONT_PASSWORD)


def _weed_argv(home: Path, port: int, others: list[int]) -> list[str]:
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert weed is not None
    names = ("s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port")
    ports = [f"-{name}={number}" for name, number in zip(names, others, strict=False)]
    return [
        weed,
        "server",
        f"-dir={home / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        f"-s3.port={port}",
        *ports,
        f"-filer.port.grpc={others[-1]}",
        f"-s3.config={home / 's3.json'}",
        f"-s3.localSocket={home / 's3.sock'}",
        f"-filer.localSocket={home / 'filer.sock'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=300",
    ]


def _answers_http(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()
    return False


def _answers_sql(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
        return True
    return False
