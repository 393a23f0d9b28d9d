"""The loopback ports of the embedded servers: chosen once, kept in `run/ports.json`, chosen again when taken."""

import contextlib
import json
import random
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from domain.errors import Fault

# Below the ports that Linux gives to outgoing connections (ip_local_port_range, 32768 and up), so that
# none of those sits on a port of ours between two starts.
_FIRST: Final = 15000
_LAST: Final = 32000
_TRIES: Final = 200

NAMES: Final = (
    "postgres",
    "temporal",
    "temporal_ui",
    "temporal_http",
    "temporal_metrics",
    "s3",
    "s3_grpc",
    "s3_master",
    "s3_master_grpc",
    "s3_volume",
    "s3_volume_grpc",
    "s3_filer",
    "s3_filer_grpc",
    "mcp",
    "relay",
)


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Servers set this too; without it the connections of one that just ended would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def is_unused(port: int) -> bool:
    """Whether nobody has anything to do with a loopback port: not even a stack that only holds it for its server."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def hold(ports: Iterable[int]) -> contextlib.ExitStack:
    """Take ports for servers that listen later, until the answer is closed.

    A stack that starts at the same time chooses others. The servers are not in the way of it: who sets SO_REUSEADDR
    may listen on a port that another socket is bound to in the same way and does not listen on (socket(7)).
    """
    with contextlib.ExitStack() as held:
        for port in ports:
            holder = held.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):  # taken since it was chosen: its server will say so
                holder.bind(("127.0.0.1", port))
        return held.pop_all()


def keep_ports(
    path: Path, *, free: Callable[[int], bool] = is_free, unused: Callable[[int], bool] = is_unused
) -> dict[str, int]:
    """Return a port for each name: the same as at the last start where it is free, else one that is unused.

    Raises:
        Fault: `stack.no_port`.

    """
    known = _read(path)
    ports: dict[str, int] = {}
    for name in NAMES:
        port = known.get(name)
        taken = set(ports.values()) | {p for n, p in known.items() if n != name}
        ports[name] = port if port is not None and port not in ports.values() and free(port) else _choose(taken, unused)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(ports, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
    return ports


def _choose(taken: set[int], unused: Callable[[int], bool]) -> int:
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - only to keep two stacks apart
        if port not in taken and unused(port):
            return port
    raise Fault.because("stack.no_port", "there is no free port on 127.0.0.1", next="Run: openfactory doctor")


def _read(path: Path) -> dict[str, int]:
    try:
        return TypeAdapter(dict[str, int]).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}
