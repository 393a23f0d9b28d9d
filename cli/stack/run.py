"""`openfactory up`: prepares the data folder, supervises the parts, says where they are."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime

from cli.stack import leftovers
from cli.stack.endpoints import Endpoints, find_endpoints
from cli.stack.home import held, prepare_home, state_path, write_holder
from cli.stack.leftovers import record
from cli.stack.part import Part
from cli.stack.parts import s3_config, stack_parts
from cli.stack.ports import hold, is_free, keep_ports
from cli.stack.state import Addresses, PartState, StackState, write_state
from cli.stack.supervisor import Supervisor
from domain.client_setup import ClientName, json_config
from domain.errors import Verdict
from infra import embedded_postgres
from infra.keys import Secrets
from infra.settings import Settings

Say = Callable[[str], None]

HOST_PARTS = frozenset({"forkserver", "libvirt", "host-worker"})
"""What a hypervisor runs. It holds no database's address."""


def run_stack(settings: Settings, say: Say, *, host_only: bool = False) -> None:
    """Run the stack in the foreground until SIGINT, SIGTERM or SIGHUP.

    With `host_only` this machine is one more hypervisor of a factory whose other parts run elsewhere.

    Raises:
        Verdict: `stack.running`, `stack.port_taken`, `stack.no_factory`, `home.unusable`.
        Fault: `stack.part_failed`.

    """
    prepare_home(settings.home)
    with held(settings):
        write_holder(settings)
        state_path(settings).unlink(missing_ok=True)  # that of a killed one would be taken for ours
        left = leftovers.find(settings.home, settings.run)
        if left:
            say(f"taking over from a supervisor that was killed: ending {len(left)} of its processes")
            leftovers.end(left)
        asyncio.run(_Stack(settings, say, host_only=host_only).run())


class _Stack:
    """One run of the supervisor, and what it tells of it."""

    def __init__(self, settings: Settings, say: Say, *, host_only: bool) -> None:
        self._settings = settings
        self._say = say
        self._began = time.monotonic()
        self._started_at = datetime.now(UTC)
        self._states: dict[str, PartState] = {}
        self._ready = False
        self._host_only = host_only
        if host_only:
            require_factory(settings)
        else:
            _require_public_port(settings)
        self._ports = keep_ports(settings.run / "ports.json")
        self._held_ports = hold(self._ports.values())
        self._endpoints = find_endpoints(settings, self._ports)
        every = stack_parts(settings, self._endpoints, self._ports)
        self._parts = tuple(part for part in every if part.name in HOST_PARTS) if host_only else every
        self._addresses = addresses(settings, self._endpoints)
        self._supervisor = Supervisor(
            self._parts, logs=settings.home / "logs", run=settings.run, on_change=self._changed
        )
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Prepare, supervise, clean up."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._asked_to_stop)
        announcing = asyncio.create_task(self._announce())
        try:
            if not self._host_only:
                await _prepare_servers(self._settings, self._endpoints, self._parts)
            await self._supervisor.run(self._stop)
        finally:
            announcing.cancel()
            await asyncio.gather(announcing, return_exceptions=True)
            self._held_ports.close()
            self._clean_up()
        self._say(f"[{self._elapsed()}] stopped")

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._say("asked twice: killing what is left")
            self._supervisor.kill()
            return
        self._say(f"[{self._elapsed()}] stopping; again to kill")
        self._stop.set()

    async def _announce(self) -> None:
        await self._supervisor.all_ready.wait()
        self._held_ports.close()
        self._ready = True
        self._write()
        if self._host_only:
            self._say(host_announcement(self._settings, self._endpoints))
        else:
            self._say(announcement(self._addresses, Secrets(self._settings.secrets).operator_key()))
        self._say(f"[{self._elapsed()}] ready; Ctrl-C stops it")

    def _changed(self, state: PartState) -> None:
        before = self._states.get(state.name)
        self._states[state.name] = state
        record(self._settings.run, state.name, state.pid)
        self._write()
        if state.condition in {"ready", "done", "restarting"} or (state.condition == "stopped" and state.note):
            note = f": {state.note}" if state.note else ""
            again = f" (restart {state.restarts})" if state.restarts and before is not None else ""
            self._say(f"[{self._elapsed()}] {state.name} {state.condition}{again}{note}")

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # on a full disk the parts matter more than what is told of them
            write_state(
                state_path(self._settings),
                StackState(
                    pid=os.getpid(),
                    home=str(self._settings.home),
                    ready=self._ready,
                    started_at=self._started_at,
                    addresses=self._addresses,
                    parts=tuple(self._states.values()),
                ),
            )

    def _clean_up(self) -> None:
        leftovers.end(leftovers.find(self._settings.home, self._settings.run))
        for part in self._parts:
            record(self._settings.run, part.name, None)
        state_path(self._settings).unlink(missing_ok=True)

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:5.1f} s"


async def _prepare_servers(settings: Settings, endpoints: Endpoints, parts: tuple[Part, ...]) -> None:
    """Make the files that the embedded servers start from, and remove sockets of killed ones."""
    secrets = Secrets(settings.secrets)
    secrets.operator_key()
    for part in parts:
        for path in part.leaves:
            path.unlink(missing_ok=True)
    if "s3" in endpoints.embedded:
        _write_s3_identities(settings, endpoints)
    if "postgres" in endpoints.embedded:
        secrets.password("postgres")
        await embedded_postgres.prepare(settings.home / "postgres" / "data", settings.secrets / "postgres.password")


def _write_s3_identities(settings: Settings, endpoints: Endpoints) -> None:
    keys = {"accessKey": endpoints.s3.access_key, "secretKey": endpoints.s3.secret_key.get_secret_value()}
    identity = {"name": "openfactory", "credentials": [keys], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    path = s3_config(settings)
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"identities": [identity]}, file)
    draft.replace(path)


def _require_public_port(settings: Settings) -> None:
    if not is_free(settings.port, settings.bind):
        raise Verdict.because(
            "stack.port_taken",
            f"another program listens on {settings.bind}:{settings.port}, or that address is not of this machine",
            path="OPENFACTORY_PORT",
            next="Set OPENFACTORY_PORT (or OPENFACTORY_BIND) to one that is free.",
        )


def require_factory(settings: Settings) -> None:
    """Refuse to be a host of a factory that nobody has named.

    Raises:
        Verdict: `stack.no_factory`, with every variable that is missing.

    """
    needed = {
        "TEMPORAL_ADDRESS": settings.temporal,
        "S3_ENDPOINT": settings.s3,
        "OPENFACTORY_RELAY_SECRET": settings.relay_secret,
    }
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise Verdict.because(
            "stack.no_factory",
            f"a host needs to know its factory: {', '.join(missing)} must be set",
            path=missing[0],
            next="See docs/guides/hypervisors.md.",
        )


def addresses(settings: Settings, endpoints: Endpoints) -> Addresses:
    """Say where the stack is reached."""
    return Addresses(
        public=settings.public_url,
        mcp=f"{settings.public_url}/mcp-stream/mcp",
        temporal_ui=endpoints.temporal_ui,
        temporal=endpoints.temporal.address,
        operator_key=str(settings.operator_key),
    )


def announcement(where: Addresses, key: str) -> str:
    """Write what somebody needs who has just started the stack."""
    return "\n".join(
        (
            "",
            f"  console      {where.public}",
            f"  MCP          {where.mcp}",
            f"  Temporal UI  {where.temporal_ui or '(of the configured server)'}",
            f"  Temporal     {where.temporal} (temporal --address {where.temporal} …)",
            f"  key file     {where.operator_key}",
            "",
            "  For an MCP client:",
            json.dumps(json_config(where.mcp, key), indent=2),
            "",
            "  For another client: openfactory mcp-config " + "|".join(ClientName),
            "",
        )
    )


def host_announcement(settings: Settings, endpoints: Endpoints) -> str:
    """Write what somebody needs who has just added a host."""
    return "\n".join(
        (
            "",
            f"  host         {settings.host_id}, task queue host:{settings.host_id}",
            f"  factory      Temporal at {endpoints.temporal.address}, objects at {endpoints.s3.endpoint}",
            f"  consoles     {settings.relay_url or 'http://' + endpoints.relay_bind}",
            "",
        )
    )
