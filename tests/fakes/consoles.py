"""Serial ports whose machines are sockets or nothing at all, and grants in memory."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from domain.console import ConsoleGrant, ConsoleSession
from domain.errors import Fault
from domain.vm.spec import ImageRef, VmSpec
from domain.vm.state import VmState, VmStatus
from service.admission.grants import LINK_LIFETIME, SESSION_LENGTH
from service.ports import MintedLink, OpenedConsole

VM_ID = "11111111-1111-4111-8111-111111111111"
Listener = Callable[[bytes], None]


class FakeTap:
    """One viewer, and what they typed."""

    def __init__(self, port: "FakePort", listener: Listener) -> None:
        self._port = port
        self.listener = listener
        self.replay = bytes(port.written)

    async def write(self, data: bytes) -> None:
        await self._port.type(data)

    def close(self) -> None:
        self._port.taps.discard(self)


class FakePort:
    """A port: what the guest wrote so far, who looks at it, and what was typed if there is no machine behind it."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.typed = bytearray()
        self.taps: set[FakeTap] = set()
        self._writer: asyncio.StreamWriter | None = None

    def say(self, data: bytes) -> None:
        """Have the guest write something; nothing closes the port."""
        self.written += data
        for tap in tuple(self.taps):
            tap.listener(data)

    async def type(self, data: bytes) -> None:
        self.typed += data
        if self._writer is not None:
            self._writer.write(data)
            await self._writer.drain()

    async def follow(self, socket: Path) -> None:
        """Be the port of a real machine until it ends."""
        reader, self._writer = await _connected(socket)
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(1 << 16):
                    self.say(data)
            self.say(b"")
        finally:
            self._writer.close()


async def _connected(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a machine that is just starting: its socket is there before it listens."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.open_unix_connection(str(socket))
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


class FakePorts:
    """The ports of a host, by machine."""

    def __init__(self) -> None:
        self.ports: dict[str, FakePort] = {}

    def attach(self, vm_id: str, listener: Listener) -> FakeTap | None:
        port = self.ports.get(vm_id)
        if port is None:
            return None
        tap = FakeTap(port, listener)
        port.taps.add(tap)
        return tap


class FakeGrants:
    """Links and sessions in dictionaries, by a clock that a test may set."""

    def __init__(
        self,
        *,
        lifetime: timedelta = LINK_LIFETIME,
        length: timedelta = SESSION_LENGTH,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lifetime = lifetime
        self._length = length
        self._now = now
        self._numbers = itertools.count(1)
        self.links: dict[str, tuple[ConsoleGrant, datetime]] = {}
        self.sessions: dict[tuple[str, str], ConsoleSession] = {}
        self.away = False

    async def mint(self, grant: ConsoleGrant) -> MintedLink:
        self._answer()
        token = f"token-{next(self._numbers)}"
        self.links[token] = (grant, self._now() + self._lifetime)
        return MintedLink(token, self.links[token][1])

    async def open(self, token: str) -> OpenedConsole | None:
        self._answer()
        grant, expires_at = self.links.pop(token, (None, self._now()))
        if grant is None or expires_at <= self._now():
            return None
        number = next(self._numbers)
        session = ConsoleSession(
            id=f"00000000-0000-4000-8000-{number:012d}", grant=grant, ends_at=self._now() + self._length
        )
        self.sessions[token, f"secret-{number}"] = session
        return OpenedConsole(session, f"secret-{number}")

    async def find(self, token: str, secret: str) -> ConsoleSession | None:
        self._answer()
        session = self.sessions.get((token, secret))
        return session if session is not None and session.ends_at > self._now() else None

    async def living(self, session_ids: Collection[str]) -> frozenset[str]:
        self._answer()
        living = {session.id for session in self.sessions.values() if session.ends_at > self._now()}
        return frozenset(living & set(session_ids))

    async def revoke(self, org_id: str, *, vm_id: str | None = None, subject: str | None = None) -> int:
        self._answer()

        def meant(grant: ConsoleGrant) -> bool:
            return grant.org_id == org_id and vm_id in {None, grant.vm_id} and subject in {None, grant.subject}

        links = {token: link for token, link in self.links.items() if not meant(link[0])}
        sessions = {key: session for key, session in self.sessions.items() if not meant(session.grant)}
        ended = len(self.links) + len(self.sessions) - len(links) - len(sessions)
        self.links, self.sessions = links, sessions
        return ended

    def _answer(self) -> None:
        if self.away:
            raise Fault.because("database.unavailable", "the database at 10.9.8.7 does not answer")


def vm_with_console(relay: str | None, *, status: VmStatus = "running", name: str = "web") -> VmState:
    """Make a machine of the local organization as the read model shows it."""
    at = datetime(2030, 1, 2, tzinfo=UTC)
    image = ImageRef(digest="0" * 64, bytes=1, format="qcow2", source="build", source_id="b")
    return VmState(
        vm_id=VM_ID,
        org_id="local",
        version=3,
        status=status,
        settled="running",
        requested_by="operator",
        requested_at=at,
        updated_at=at,
        plan="self-hosted",
        spec=VmSpec(name=name, image=image),
        input_digest="0" * 64,
        verification="verified",
        relay=relay,
    )
