"""A pretended host in a network namespace, an outside behind its router, and a home's libvirt on that host.

Nothing of it is connected to the machine that runs the tests. The outside has a public-looking address
(RFC 5737), a machine on the host's private LAN and a cloud's metadata address; each of them, and the host
itself, serves TCP on `PORT` and answers with its address. A nameserver on the LAN is the host's.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path

import psutil

from infra.libvirt_daemon import command
from infra.libvirt_paths import LibvirtPaths
from infra.netns import client
from infra.netns.models import Link

PORT = 8080
HOST, LAN, PUBLIC, METADATA = "192.0.2.1", "192.168.77.2", "203.0.113.10", "169.254.169.254"
NAME = "outside.example"
_DEADLINE = 30.0
_SERVER = """
import socketserver, sys
class Name(socketserver.BaseRequestHandler):
    def handle(self): self.request.sendall(self.request.getsockname()[0].encode())
class Server(socketserver.ThreadingTCPServer): allow_reuse_address = True
Server((sys.argv[1], int(sys.argv[2])), Name).serve_forever()
"""
_PROBE = """
import json, socket, sys
def probe(address, port):
    try:
        with socket.create_connection((address, port), timeout=4) as s: return s.recv(100).decode() or "open"
    except TimeoutError: return "timeout"
    except OSError as error: return "refused: " + str(error)
print(json.dumps([probe(a, p) for a, p in json.loads(sys.argv[1])]))
"""


class Namespace:
    """A network namespace that lives as long as a process in it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def argv(self, *words: str) -> list[str]:
        return ["nsenter", "--target", str(self.pid), "--net", "--", *words]

    def ip(self, *lines: str) -> None:
        subprocess.run(self.argv("ip", "-batch", "-"), input="\n".join(lines), text=True, check=True)

    def reach(self, *targets: tuple[str, int]) -> list[str]:
        """Connect to each from in here; answers what came back, or why nothing did."""
        argv = self.argv(sys.executable, "-c", _PROBE, json.dumps(targets))
        return json.loads(subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout)


class Stage:
    """The pretended host with its surroundings."""

    def __init__(self, stack: ExitStack, home: Path, environment: dict[str, str]) -> None:
        self._stack = stack
        self.paths = LibvirtPaths(home=home)
        self.socket = client.socket_path(self.paths.root / "run")
        self.host, self.outside = self.namespace(), self.namespace()
        self.host.ip(
            "link set lo up",
            f"link add near type veth peer name far netns {self.outside.pid}",
            f"address add {HOST}/30 dev near",
            "address add 192.168.77.1/24 dev near",
            "link set near up",
            "route add default via 192.0.2.2",
        )
        self.outside.ip(
            "link set lo up",
            "address add 192.0.2.2/30 dev far",
            f"address add {LAN}/24 dev far",
            *(f"address add {address}/32 dev lo" for address in (PUBLIC, METADATA)),
            "link set far up",
        )
        for space, address in (
            (self.host, "127.0.0.1"),
            (self.host, HOST),
            *((self.outside, address) for address in (LAN, PUBLIC, METADATA)),
        ):
            self.serve(space, address)
        settings = [f"{name}={value}" for name, value in environment.items()]
        self.daemon = self._start(self.host.argv(*self._with_resolver(home), "env", *settings, *command(home)))

    def _with_resolver(self, home: Path) -> list[str]:
        """Give the pretended host a nameserver on its LAN that knows `NAME`, by a resolv.conf of its own."""
        users = ("--user=root", "--pid-file=", "--keep-in-foreground", "--conf-file=/dev/null")
        names = ("--no-resolv", "--no-hosts", f"--address=/{NAME}/{PUBLIC}")
        listen = (f"--listen-address={LAN}", "--bind-interfaces")
        self._start(self.outside.argv("dnsmasq", *users, *names, *listen))
        file = home / "resolv.conf"
        file.write_text(f"nameserver {LAN}\n")
        bind = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", bind, str(file)]

    def namespace(self) -> Namespace:
        return Namespace(_in_its_own_network(self._start(["unshare", "--net", "--", "sleep", "infinity"])).pid)

    def serve(self, space: Namespace, address: str, port: int = PORT) -> None:
        """Serve TCP there."""
        self._start(space.argv(sys.executable, "-c", _SERVER, address, str(port)))

    def keeper(self) -> psutil.Process:
        """The keeper in libvirt's namespaces."""
        return self.running("infra.libvirt_daemon")[0]

    def running(self, name: str) -> list[psutil.Process]:
        """The home's processes of that name, or of that Python module."""
        found: list[psutil.Process] = []
        for process in psutil.Process(self.daemon.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if process.name() == name or name in process.cmdline():
                    found.append(process)
        return found

    def inside(self) -> Namespace:
        """The network namespace of libvirt."""
        return Namespace(self.keeper().pid)

    def guest(self, card: Link, number: int = 0, space: Namespace | None = None) -> Namespace:
        """A namespace that is connected like a guest with this card, with its address and default route."""
        guest = space or self.namespace()
        near = f"t{guest.pid}n{number}"
        self.inside().ip(
            f"link add {near} type veth peer name eth{number} address {card.mac} netns {guest.pid}",
            f"link set {near} master {card.bridge}",
            f"link set {near} up",
        )
        address = f"address add {card.address}/{card.prefix} dev eth{number}"
        guest.ip("link set lo up", address, f"link set eth{number} up")
        if number == 0:
            guest.ip(f"route add default via {IPv4Address(card.address) - 1}")
        return guest

    async def ready(self) -> None:
        """Wait for the switchboard and the way out."""
        deadline = time.monotonic() + _DEADLINE
        while not (self.socket.exists() and self.running("slirp4netns")):
            assert self.daemon.poll() is None
            assert time.monotonic() < deadline, "the switchboard or slirp4netns did not come up"
            await asyncio.sleep(0.05)

    def _start(self, argv: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *argv], stdin=subprocess.DEVNULL)

        def end() -> None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

        self._stack.callback(end)
        return process


@contextmanager
def stage(**environment: str) -> Generator[Stage]:
    """Put up a stage with an own home, and take it down."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="of-n-")))
        yield Stage(stack, home, environment)


def _in_its_own_network(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    deadline = time.monotonic() + _DEADLINE
    while Path(f"/proc/{process.pid}/ns/net").samefile("/proc/self/ns/net"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process
