"""A whole factory of its own for tests: started by the launcher's command, reached over its public road."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cli.client.session import FactorySession
from cli.client.target import Target
from cli.stack.state import StackState, read_state
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
READY_SECONDS = 120.0
STOP_SECONDS = 30.0
RUN_SECONDS = 900.0


class Stack:
    """A running factory. Processes are ended by id, and only its own."""

    def __init__(self, home: Path, port: int, environ: Mapping[str, str], *options: str) -> None:
        self.options = options
        self.home = home
        self.port = port
        self.environ = {**environ, "OPENFACTORY_HOME": str(home), "OPENFACTORY_PORT": str(port)}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The public address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        """The operator's key."""
        return (self.home / "secrets" / "operator.key").read_text(encoding="utf-8").strip()

    def command(self, *words: str) -> list[str]:
        """The command line of this factory."""
        return [sys.executable, "-m", "cli", *words]

    def run(self, *words: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            self.command(*words),
            env=self.environ,
            cwd=ROOT,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )

    def temporal(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the stock Temporal command line against this factory's server."""
        state = self.state()
        assert state is not None
        binary = str(Path(sys.executable).parent / "temporal")
        return subprocess.run(
            [binary, *words, "--address", state.addresses.temporal],
            timeout=60,
            capture_output=True,
            text=True,
            check=True,
        )

    def session(self) -> FactorySession:
        """A client with the operator's key."""
        return FactorySession(Target(url=self.url, key=SecretStr(self.key)))

    def state(self) -> StackState | None:
        """What the supervisor says of its parts."""
        return read_state(self.home / "run" / "state.json")

    def pid(self, part: str) -> int:
        """The process of a part that is ready."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            state = self.state()
            found = [p for p in state.parts if p.name == part] if state else []
            if found and found[0].condition == "ready" and found[0].pid is not None:
                return found[0].pid
            time.sleep(0.1)
        raise AssertionError(f"{part} is not ready: {self.state()}")

    def kill(self, part: str) -> None:
        """Kill a part as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid(part), signal.SIGKILL)

    def start(self) -> None:
        """Start in the background and wait until it is ready."""
        with (self.home.parent / f"{self.home.name}.up.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command("up", *self.options),
                env=self.environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"up ended with {self.process.returncode}: {Path(log.name).read_text()[-3000:]}")
            state = self.state()
            if state is not None and state.ready and state.pid == self.process.pid:
                return
            time.sleep(0.1)
        raise AssertionError(f"up is not ready: {self.state()}\n{Path(log.name).read_text()[-3000:]}")

    def stop(self) -> int:
        """Stop as Ctrl-C would; answers the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running_stack(home: Path) -> Generator[Stack]:
    """Run a factory at `home`."""
    stack = Stack(home, free_port(), os.environ)
    stack.start()
    try:
        yield stack
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.stop()


async def until_ended(session: FactorySession, build_id: str, *, deadline: float) -> dict[str, Any]:
    """Follow a build until it ends or is parked; the last answer is in the error when it does not."""
    view: dict[str, Any] = {}
    try:
        async with asyncio.timeout(deadline):
            while view.get("status") not in ("completed", "failed", "cancelled"):
                view = await session.call("get_build_status", {"build_id": build_id, "wait_s": 20})
    except TimeoutError:
        raise AssertionError(f"the build did not end within {deadline} s: {json.dumps(view)[:3000]}") from None
    return view


async def until_step(session: FactorySession, build_id: str, step: str, *, deadline: float) -> dict[str, Any]:
    """Follow a build until `step` runs."""
    view: dict[str, Any] = {}
    try:
        async with asyncio.timeout(deadline):
            while not any(s["step"] == step for s in view.get("steps", ())):
                view = await session.call("get_build_status", {"build_id": build_id, "wait_s": 5})
                if view["status"] in ("completed", "failed", "cancelled"):
                    raise AssertionError(f"the build is {view['status']} and never reached {step}: {view}")
    except TimeoutError:
        raise AssertionError(f"{step} did not begin within {deadline} s: {json.dumps(view)[:3000]}") from None
    return view


async def until_run(session: FactorySession, run_id: str) -> dict[str, Any]:
    """Follow a run to its end."""
    view: dict[str, Any] = {}
    try:
        async with asyncio.timeout(RUN_SECONDS):
            while view.get("status") not in ("passed", "failed", "error", "cancelled"):
                view = await session.call("get_test_run", {"run_id": run_id, "wait_s": 20, "detail": "full"})
    except TimeoutError:
        raise AssertionError(f"the run did not end: {json.dumps(view)[:3000]}") from None
    return view
