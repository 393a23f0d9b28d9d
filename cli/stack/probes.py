"""Asking a part whether it is ready."""

import asyncio
import http.client
import socket
import subprocess

from cli.stack.child import Child
from cli.stack.part import Answers, Ends, Listens, Notifies, Probe, ServesPostgres
from infra import embedded_postgres

_ANSWER_SECONDS = 3.0
_PAUSE_SECONDS = 0.05


async def wait_until_ready(probes: tuple[Probe, ...], child: Child) -> None:
    """Return when every probe has held once; the caller sets the deadline and watches the child."""
    for probe in probes:
        while not await _holds(probe, child):  # noqa: ASYNC110 - it is another process that changes
            await asyncio.sleep(_PAUSE_SECONDS)


async def _holds(probe: Probe, child: Child) -> bool:
    match probe:
        case Answers():
            return await asyncio.to_thread(_answers, probe)
        case Listens():
            return await asyncio.to_thread(_listens, probe)
        case ServesPostgres():
            return await asyncio.to_thread(_serves_postgres, probe)
        case Notifies():
            await child.notified.wait()
            return True
        case Ends():
            return await child.wait() == 0


def _answers(probe: Answers) -> bool:
    connection = http.client.HTTPConnection(probe.address, probe.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", probe.path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read(1 << 16).decode(errors="replace") if probe.contains else ""
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return (not probe.statuses or response.status in probe.statuses) and probe.contains in body


def _listens(probe: Listens) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(str(probe.path))
        except OSError:
            return False
    return True


def _serves_postgres(probe: ServesPostgres) -> bool:
    # Not by psycopg, which would take eight MiB of the supervisor for as long as it runs.
    argv = embedded_postgres.probe_argv(probe.dsn, _ANSWER_SECONDS)
    asked = subprocess.run(  # noqa: S603 - a program of the server's own package
        argv, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return asked.returncode == 0
