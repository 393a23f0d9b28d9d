"""A guest that is a process: what stands for QEMU and the system in it, started by `processes.Domain`.

    python -S -E guest.py FOLDER SERIAL

It waits until it is let run, says on its serial port what a system says that starts, and then answers as a guest
agent does: programs run in its own namespaces, with `/mnt` as its memory. Only the standard library, because a
hundred of them are started in a minute.
"""

import base64
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

MEMORY = Path("/mnt")
_NOTED_SECONDS = 10.0
BOOT = (
    "SeaBIOS (version of a process)",
    "GRUB loading.",
    "Linux version 0.1 (a process)",
    "systemd[1]: started",
    "Reached target multi-user.target",
    "Welcome to the quick guest",
)


class Guest:
    """The state of one guest. Files in `folder` tell the outside: `paused`, `agent`, `ended`."""

    def __init__(self, folder: Path, serial: Path) -> None:
        self.folder = folder
        self._serial = _listener(serial)
        self._running = threading.Event()
        self._programs: dict[int, tuple[subprocess.Popen[bytes], dict[str, bytes], threading.Thread]] = {}
        self._nodes: set[str] = set()
        self._jobs: dict[str, dict[str, str]] = {}

    def serve_serial(self) -> None:
        """Write the boot to whoever reads the port, the first time when it runs."""
        told = False
        while True:
            reader, _ = self._serial.accept()
            if not told:
                self._running.wait()
                told = True
                with_lines = "".join(f"{line}\r\n" for line in BOOT)
                try:
                    reader.sendall(with_lines.encode())
                except OSError:
                    continue
            threading.Thread(target=_drain, args=(reader,), daemon=True).start()

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what the hypervisor asks."""
        do = asked["do"]
        if do == "resume":
            (self.folder / "paused").unlink(missing_ok=True)
            (self.folder / "agent").touch()
            self._running.set()
        elif do == "shutdown":
            (self.folder / "ended").touch()
            threading.Timer(0.01, os._exit, (0,)).start()
        elif do == "agent":
            return self._agent(json.loads(asked["command"]))
        elif do == "monitor":
            return self._monitor(json.loads(asked["command"]))
        return {"return": {}}

    def _agent(self, asked: dict[str, Any]) -> dict[str, Any]:
        arguments: dict[str, Any] = asked.get("arguments", {})
        match asked["execute"]:
            case "guest-exec":
                return self._start(arguments)
            case "guest-exec-status":
                return {"return": self._status(int(arguments["pid"]))}
            case "guest-network-get-interfaces":
                addresses = [{"ip-address": "10.0.2.15", "ip-address-type": "ipv4", "prefix": 24}]
                return {"return": [{"name": "eth0", "ip-addresses": addresses}]}
            case _:
                return {"return": {}}

    def _start(self, arguments: dict[str, Any]) -> dict[str, Any]:
        argv = [arguments["path"], *arguments.get("arg", ())]
        try:
            program = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=MEMORY
            )
        except OSError as error:
            return {"error": {"class": "GenericError", "desc": str(error)}}
        said: dict[str, bytes] = {}
        given = base64.b64decode(arguments.get("input-data", ""))

        def collect() -> None:
            said["out"], said["err"] = program.communicate(given)

        thread = threading.Thread(target=collect, daemon=True)
        thread.start()
        self._programs[program.pid] = (program, said, thread)
        return {"return": {"pid": program.pid}}

    def _status(self, pid: int) -> dict[str, Any]:
        program, said, thread = self._programs[pid]
        thread.join(0.02)
        if thread.is_alive():
            return {"exited": False}
        texts = {f"{name}-data": base64.b64encode(data).decode() for name, data in said.items()}
        return {"exited": True, "exitcode": program.returncode, **texts}

    def _monitor(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The part of QEMU's monitor that snapshots of a running VM use."""
        arguments: dict[str, Any] = asked.get("arguments", {})
        match asked["execute"]:
            case "query-named-block-nodes":
                disk = f"/var/lib/libvirt/machines/{self.folder.name}/disk.qcow2"
                return {"return": [{"node-name": "disk", "drv": "qcow2", "file": disk}]}
            case "blockdev-add":
                self._nodes.add(arguments["node-name"])
            case "blockdev-del":
                if arguments["node-name"] not in self._nodes:
                    return {"error": {"class": "GenericError", "desc": "no such node"}}
                self._nodes.discard(arguments["node-name"])
            case "query-jobs":
                return {"return": list(self._jobs.values())}
            case "job-dismiss":
                self._jobs.pop(arguments["id"], None)
            case "snapshot-save" | "snapshot-load" | "snapshot-delete" as kind:
                job = {"id": arguments["job-id"], "status": "concluded"}
                problem = self._snapshot(kind, self.folder / f"memory-{arguments['tag']}.json")
                self._jobs[job["id"]] = job | ({"error": problem} if problem else {})
            case other:
                return {"error": {"class": "CommandNotFound", "desc": other}}
        return {"return": {}}

    def _snapshot(self, kind: str, kept: Path) -> str | None:
        if kind == "snapshot-save":
            files = {str(p.relative_to(MEMORY)): p for p in MEMORY.rglob("*") if p.is_file()}
            texts = {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()}
            try:
                kept.write_text(json.dumps(texts))
            except OSError as error:
                return str(error)
        elif kind == "snapshot-load":
            if not kept.exists():
                return "no such snapshot"
            for name, text in json.loads(kept.read_bytes()).items():
                (MEMORY / name).parent.mkdir(parents=True, exist_ok=True)
                (MEMORY / name).write_bytes(base64.b64decode(text))
        else:
            kept.unlink(missing_ok=True)
        return None


def _listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)
    return listener


def _drain(reader: socket.socket) -> None:
    try:
        while reader.recv(4096):
            pass
    except OSError:
        return


def _end_unless_noted(folder: Path) -> None:
    if not (folder / "power.json").exists():
        os._exit(1)


def main(folder: Path, serial: Path) -> None:
    """Serve until ended."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "memory", str(MEMORY)], check=True)
    guest = Guest(folder, serial)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(json.dumps(guest.answer(json.loads(line))).encode() + b"\n")
                self.wfile.flush()

    class Monitor(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    # Who starts it notes it, and can die in between. libvirtd cannot: it outlives the workers.
    noting = threading.Timer(_NOTED_SECONDS, _end_unless_noted, (folder,))
    noting.daemon = True
    noting.start()
    threading.Thread(target=guest.serve_serial, daemon=True).start()
    monitor = folder / "monitor"
    monitor.unlink(missing_ok=True)
    with Monitor(str(monitor), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
