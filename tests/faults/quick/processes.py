"""A libvirt whose machines are processes (`guest.py`): the calls that the adapters make, with libvirt's own errors.

Like libvirt's, its state outlives whoever asks: definitions and processes are found again through files, at
`<home>/libvirt/quick/<machine>/`. So the real adapters of machines run on it, worker after killed worker.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree as ET

import libvirt
import libvirt_qemu  # pyright: ignore[reportMissingTypeStubs] - it has none

from infra.libvirt_paths import LibvirtPaths
from infra.sandbox import sandboxed

_GUEST = Path(__file__).with_name("guest.py")
_START_SECONDS = 20.0
_ANSWER_SECONDS = 15.0
_children: list[subprocess.Popen[bytes]] = []
"""Processes of this one, kept until they have ended; another's child outlives it."""
_AGENT = 'name="org.qemu.guest_agent.0"'


def folder_of(home: Path) -> Path:
    """Where the machines of a home are."""
    return home / "libvirt" / "quick"


def install(home: Path) -> None:
    """Have every `libvirt.open` of this process answer with machines that are processes."""
    paths = LibvirtPaths(home=home)
    folder_of(home).mkdir(parents=True, exist_ok=True)
    paths.machines.mkdir(parents=True, exist_ok=True)
    paths.sockets.mkdir(parents=True, exist_ok=True)
    libvirt.open = lambda _uri=None: Connection(paths)  # type: ignore[assignment] # the laboratory's own hypervisor
    libvirt_qemu.qemuAgentCommand = _ask_agent  # type: ignore[assignment] # as above
    libvirt_qemu.qemuMonitorCommand = _ask_monitor  # type: ignore[assignment] # as above


def _ask_agent(domain: "Domain", command: str, _seconds: int, _flags: int) -> str:
    return domain.agent(command)


def _ask_monitor(domain: "Domain", command: str, _flags: int) -> str:
    return domain.ask("monitor", command=command)


class Connection:
    """What `libvirt.open` answers."""

    def __init__(self, paths: LibvirtPaths) -> None:
        self._paths = paths
        self._root = folder_of(paths.home)

    def getLibVersion(self) -> int:  # noqa: N802 - libvirt's name
        return 1

    def isAlive(self) -> bool:  # noqa: N802 - libvirt's name
        return True

    def close(self) -> int:
        return 0

    def setKeepAlive(self, _interval: int, _count: int) -> int:  # noqa: N802 - libvirt's name
        return 0

    def domainEventRegisterAny(self, *_: object) -> int:  # noqa: N802 - libvirt's name
        return 0

    def defineXML(self, xml: str) -> "Domain":  # noqa: N802 - libvirt's name
        name = ET.fromstring(xml).findtext("name")  # noqa: S314 - we wrote it
        domain = Domain(self._paths, self._root / str(name))
        domain.define(xml)
        return domain

    def lookupByName(self, name: str) -> "Domain":  # noqa: N802 - libvirt's name
        domain = Domain(self._paths, self._root / name)
        if not domain.defined:
            fail(libvirt.VIR_ERR_NO_DOMAIN, f"Domain not found: {name}")
        return domain

    def listAllDomains(self, _flags: int = 0) -> list["Domain"]:  # noqa: N802 - libvirt's name
        found = [Domain(self._paths, folder) for folder in sorted(self._root.iterdir())]
        return [domain for domain in found if domain.defined]


class Domain:
    """One machine. `paused`, `agent` and `ended` are files that the guest makes; `power.json` is ours."""

    def __init__(self, paths: LibvirtPaths, folder: Path) -> None:
        self._paths = paths
        self._folder = folder

    @property
    def defined(self) -> bool:
        return (self._folder / "domain.xml").exists()

    def define(self, xml: str) -> None:
        self._folder.mkdir(exist_ok=True)
        draft = self._folder / "domain.new"
        draft.write_text(xml, encoding="utf-8")
        draft.replace(self._folder / "domain.xml")

    def name(self) -> str:
        return self._folder.name

    def isActive(self) -> int:  # noqa: N802 - libvirt's name
        return int(self._pid() is not None)

    def state(self) -> tuple[int, int]:
        if self._pid() is not None:
            paused = (self._folder / "paused").exists()
            return (libvirt.VIR_DOMAIN_PAUSED, 1) if paused else (libvirt.VIR_DOMAIN_RUNNING, 1)
        if (self._folder / "ended").exists():
            return libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN
        if (self._folder / "destroyed").exists():
            return libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED
        return libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED

    def XMLDesc(self, _flags: int = 0) -> str:  # noqa: N802 - libvirt's name
        try:
            xml = (self._folder / "domain.xml").read_text(encoding="utf-8")
        except FileNotFoundError:
            fail(libvirt.VIR_ERR_NO_DOMAIN, f"Domain not found: {self.name()}")
        connected = self._pid() is not None and (self._folder / "agent").exists()
        return xml.replace(_AGENT, f'{_AGENT} state="connected"') if connected else xml

    def createWithFlags(self, _flags: int) -> int:  # noqa: N802 - libvirt's name
        if self._pid() is not None:
            fail(libvirt.VIR_ERR_OPERATION_INVALID, "domain is already running")
        for name in ("agent", "ended", "destroyed", "monitor"):
            (self._folder / name).unlink(missing_ok=True)
        try:
            (self._folder / "paused").touch()
            argv = [sys.executable, "-S", "-E", str(_GUEST), str(self._folder), str(self._serial())]
            log = (self._folder / "log").open("wb")
        except OSError as error:
            fail(libvirt.VIR_ERR_INTERNAL_ERROR, str(error))
        with log:
            process = subprocess.Popen(
                sandboxed(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        _children[:] = [child for child in (*_children, process) if child.poll() is None]
        self._write_power(process.pid)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                fail(libvirt.VIR_ERR_INTERNAL_ERROR, f"the process did not start: {self._said()}")
            time.sleep(0.01)
        return 0

    def resume(self) -> int:
        self.ask("resume")
        return 0

    def shutdownFlags(self, _flags: int) -> int:  # noqa: N802 - libvirt's name
        self.ask("shutdown")
        return 0

    def destroy(self) -> int:
        pid = self._pid()
        if pid is None:
            fail(libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running")
        (self._folder / "destroyed").touch()
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _START_SECONDS
        while self._pid() is not None and time.monotonic() < deadline:
            time.sleep(0.005)
        return 0

    def undefineFlags(self, _flags: int) -> int:  # noqa: N802 - libvirt's name
        (self._folder / "domain.xml").unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        return 0

    def connect(self) -> NoReturn:
        fail(libvirt.VIR_ERR_NO_SUPPORT, "a process has no screen")

    def agent(self, command: str) -> str:
        """What `qemuAgentCommand` does."""
        answer = self.ask("agent", command=command)
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            fail(libvirt.VIR_ERR_INTERNAL_ERROR, f"unable to execute QEMU agent command: {found['error']['desc']}")
        return answer

    def ask(self, do: str, **arguments: str) -> str:
        """Ask the guest's process, as libvirt asks QEMU."""
        if self._pid() is None:
            fail(libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running")
        try:
            return self._exchange({"do": do, **arguments})
        except (OSError, ValueError) as error:
            fail(libvirt.VIR_ERR_AGENT_UNRESPONSIVE if do == "agent" else libvirt.VIR_ERR_OPERATION_FAILED, str(error))

    def _exchange(self, asked: dict[str, str]) -> str:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(_ANSWER_SECONDS)
            channel.connect(str(self._folder / "monitor"))
            channel.sendall(json.dumps(asked).encode() + b"\n")
            with channel.makefile("rb") as answers:
                line = answers.readline()
        if not line.endswith(b"\n"):
            raise OSError("the process ended in the middle of an answer")
        return line.decode()

    def _answers(self) -> bool:
        try:
            self._exchange({"do": "ping"})
        except OSError:
            return False
        return True

    def _serial(self) -> Path:
        source = ET.fromstring(self.XMLDesc()).find("devices/serial/source")  # noqa: S314 - we wrote it
        assert source is not None
        return self._paths.sockets / self.name() / Path(str(source.get("path"))).name

    def _said(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-500:]

    def _pid(self) -> int | None:
        """The process, if it is still the one that was started."""
        try:
            kept = json.loads((self._folder / "power.json").read_bytes())
            pid = int(kept["pid"])
            return pid if kept["ticks"] == _ticks(pid) else None
        except (OSError, ValueError):
            return None

    def _write_power(self, pid: int) -> None:
        draft = self._folder / "power.new"
        try:
            draft.write_text(json.dumps({"pid": pid, "ticks": _ticks(pid)}))
            draft.replace(self._folder / "power.json")
        except OSError as error:
            os.kill(pid, signal.SIGKILL)
            fail(libvirt.VIR_ERR_INTERNAL_ERROR, str(error))


def _ticks(pid: int) -> str:
    """When a process began, which tells it from a later one of the same number; raises OSError if it is dead."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return fields[19]


def fail(code: int, message: str) -> NoReturn:
    """Raise libvirt's error of this number."""
    error = libvirt.libvirtError(message)
    error.err = (code, 0, message, 2, None, None, None, 0, 0)
    raise error
