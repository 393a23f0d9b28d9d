"""What a console in the browser is: who may see which machine's screen or serial port, how, and until when."""

from datetime import datetime
from enum import IntEnum
from typing import Literal

from domain.model import Value

ConsoleChannel = Literal["vnc", "serial"]
"""The screen with keyboard and pointer, or the first serial port."""
ConsoleMode = Literal["control", "view"]


class ConsoleGrant(Value):
    """Who may use which machine's console, and how."""

    org_id: str
    subject: str
    vm_id: str
    channel: ConsoleChannel
    mode: ConsoleMode


class ConsoleLink(Value):
    """An address that opens a console once, until `expires_at`. It needs no key: whoever opens it first has it."""

    vm_id: str
    channel: ConsoleChannel
    view_only: bool
    url: str
    expires_at: datetime
    note: str


class ConsoleSession(Value):
    """A link that was opened. `id` is public; it ends at `ends_at` at the latest."""

    id: str
    grant: ConsoleGrant
    ends_at: datetime


class ConsoleTicket(Value):
    """What the gateway shows to a host's relay, once and until `expires_at`; what it opens ends at `ends_at`."""

    id: str
    vm_id: str
    channel: ConsoleChannel
    mode: ConsoleMode
    expires_at: datetime
    ends_at: datetime


class ConsoleEnd(IntEnum):
    """Why a console's WebSocket was closed, as its close code (RFC 6455, 7.4.2: 4000-4999 are ours)."""

    GONE = 4000
    """The machine's console has closed: it was powered off, or it was lost."""
    REPLACED = 4001
    """The same page was connected again."""
    TIME_UP = 4002
    """The session has reached its greatest length."""
    REVOKED = 4003
    """The session was ended, or there is none, or its machine was deleted."""
    TOO_SLOW = 4004
    """The browser did not take what the machine sent."""
    REFUSED = 4005
    """The browser sent what this console does not take."""
    UNREACHABLE = 4006
    """The machine's host does not answer."""
    CROWDED = 4007
    """The machine has as many viewers as it may have."""
