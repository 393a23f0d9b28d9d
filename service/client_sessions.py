"""Sessions of older MCP clients: an id is bound to its caller and outlives every process.

Nothing is remembered. An id that was made for another caller, or by nobody, opens nothing; both look the same.
"""

from typing import Literal

from domain.caller import Caller
from service.factory import Factory

SessionKind = Literal["stream", "sse"]


def seal_session(factory: Factory, caller: Caller, kind: SessionKind, fact: str) -> str:
    """Make an id for the caller that holds `fact` (one word, readable by whoever has the id)."""
    return factory.sessions.close(f"{kind} {fact}", owner=_owner(caller))


def session_fact(factory: Factory, caller: Caller, kind: SessionKind, session_id: str) -> str | None:
    """Return what the id holds, or nothing if it is not an id of this kind and of this caller."""
    fact = factory.sessions.open(session_id, owner=_owner(caller))
    found, _, word = (fact or "").partition(" ")
    return word if found == kind else None


def _owner(caller: Caller) -> str:
    return f"{caller.org_id}\0{caller.subject}"
