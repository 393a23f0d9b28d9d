"""The embedded PostgreSQL: made whole, started as nobody special, and its stale lock taken over."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from infra import embedded_postgres
from tests.integration.conftest import server
from tests.ports import free_port

pytestmark = pytest.mark.integration


def test_only_a_client_with_the_password_gets_in_over_the_loopback(postgres_server: str) -> None:
    with psycopg.connect(postgres_server) as connection:
        shown = {
            name: connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            for name in ("listen_addresses", "password_encryption", "fsync", "unix_socket_directories")
        }
    assert shown == {
        "listen_addresses": ("127.0.0.1",),
        "password_encryption": ("scram-sha-256",),
        "fsync": ("on",),
        "unix_socket_directories": ("",),
    }
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(make_conninfo(postgres_server, password="wrong"))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(make_conninfo(postgres_server, password=""))


async def test_a_folder_is_made_whole_and_an_interrupted_one_is_begun_again(tmp_path: Path) -> None:
    data, password = tmp_path / "data", tmp_path / "password"
    password.write_text("x")
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "half").touch()
    await embedded_postgres.prepare(data, password)
    made = (data / "PG_VERSION").stat().st_mtime_ns
    await embedded_postgres.prepare(data, password)
    assert (data / "PG_VERSION").stat().st_mtime_ns == made
    assert not (tmp_path / "data.new").exists()
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n")  # after a reboot: somebody else's number
    embedded_postgres.clear_stale_lock(data)
    assert not (data / "postmaster.pid").exists()


async def test_the_lock_of_a_running_server_stays_and_a_killed_one_starts_again(tmp_path: Path) -> None:
    data, password = tmp_path / "data", tmp_path / "password"
    password.write_text("x")
    await embedded_postgres.prepare(data, password)
    port = free_port()
    url = embedded_postgres.url(port, embedded_postgres.SUPERUSER, "x")

    def ready() -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url):
            return True
        return False

    argv = embedded_postgres.server_argv(data, port)
    with server(argv, tmp_path / "log", ready, signal.SIGKILL) as running:
        embedded_postgres.clear_stale_lock(data)
        assert int((data / "postmaster.pid").read_text().splitlines()[0]) == running.pid
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept ()")
    await embedded_postgres.prepare(data, password)
    # Its children notice a moment later; until then nobody else may have the folder. The supervisor tries again.
    deadline = time.monotonic() + 10
    while _works_in(data) and time.monotonic() < deadline:  # noqa: ASYNC110 - what is waited for are processes
        await asyncio.sleep(0.02)
    with server(argv, tmp_path / "log", ready, signal.SIGINT), psycopg.connect(url) as connection:
        connection.execute("SELECT FROM kept")


def test_the_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """The parent-death signal that the supervisor sets outlives the change of user namespace."""
    pid_file = tmp_path / "pid"
    argv = embedded_postgres._unprivileged(["sleep", "60"])  # pyright: ignore[reportPrivateUsage]
    script = """
        setpriv --pdeathsig KILL -- "$@" & echo $! >"$0"
        until read -r name </proc/$!/comm && [ "$name" = sleep ]; do :; done
        kill -KILL $$
    """
    subprocess.run(["sh", "-c", script, str(pid_file), *argv], check=False)
    pid, deadline = int(pid_file.read_text()), time.monotonic() + 10
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(pid)


def _works_in(folder: Path) -> bool:
    """Whether a process has this working directory, as every process of a server has its data folder."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and (entry / "cwd").readlink() == folder:
                return True
    return False


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
