"""Consoles: links that open one once, the pages behind them, and the way from a page to its machine's host."""

from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from typing import Final, NamedTuple

from domain.caller import Caller
from domain.console import ConsoleChannel, ConsoleGrant, ConsoleLink, ConsoleSession, ConsoleTicket
from domain.errors import Fault, Verdict
from domain.vm.state import VmState, VmStatus
from service.factory import Factory
from service.ids import is_build_id
from service.permissions import require

TICKET_LIFETIME: Final = timedelta(seconds=30)
_WITH_CONSOLE: Final[frozenset[VmStatus]] = frozenset({"starting", "running", "stopping"})
_LONGEST_TOKEN: Final = 128


class ConsolePage(NamedTuple):
    """What a console's page shows. `secret` is new if the link was used just now: the page has to keep it."""

    session: ConsoleSession
    vm_name: str
    vm_status: VmStatus
    secret: str | None


class ConsoleRoute(NamedTuple):
    """Where the gateway finds a machine's console, and what it has to show there."""

    session: ConsoleSession
    url: str
    ticket: str
    idle_stop: int | None = None


async def get_console_link(
    factory: Factory, caller: Caller, vm_id: str, channel: ConsoleChannel = "vnc", *, view_only: bool = False
) -> ConsoleLink:
    """Make a link to a machine's console that works once, for 60 seconds.

    Raises:
        Verdict: `permission.denied`, `vm.not_found`, `vm.wrong_state`, or `console.unavailable` if the
            machine's host offers no consoles.

    """
    require(caller, "get_console_link")
    vm = await _vm(factory, caller.org_id, vm_id) if is_build_id(vm_id) else None
    if vm is None or vm.status == "deleted":
        raise _not_found(vm_id)
    _check_reachable(vm)
    grant = ConsoleGrant(
        org_id=caller.org_id,
        subject=caller.subject,
        vm_id=vm.vm_id,
        channel=channel,
        mode="view" if view_only else "control",
    )
    link = await factory.consoles.mint(grant)
    return ConsoleLink(
        vm_id=vm.vm_id,
        channel=channel,
        view_only=view_only,
        url=f"{factory.public_url}/console/{link.token}",
        expires_at=link.expires_at,
        note="Give this link to the user: it opens once, within 60 seconds, in a browser, and needs no key. Whoever "
        f"opens it first {'sees' if view_only else 'controls'} the machine. Do not open it yourself.",
    )


async def open_console(factory: Factory, token: str, secret: str | None) -> ConsolePage:
    """Open the page of a link: for whoever comes first, and after that for whoever holds the page's secret.

    Raises:
        Verdict: `console.token_invalid`, or `vm.not_found` if the machine is gone.

    """
    session, fresh = None, None
    if len(token) <= _LONGEST_TOKEN:
        opened = await factory.consoles.open(token)
        if opened is not None:
            session, fresh = opened
        elif secret is not None:
            session = await factory.consoles.find(token, secret)
    if session is None:
        raise Verdict.because(
            "console.token_invalid",
            "This console link does not work any more.",
            next="A link opens once, within 60 seconds after it was made. Ask for a new one: get_console_link.",
        )
    vm = await _vm(factory, session.grant.org_id, session.grant.vm_id)
    if vm is None or vm.status == "deleted":
        raise _not_found(session.grant.vm_id)
    return ConsolePage(session=session, vm_name=vm.spec.name, vm_status=vm.status, secret=fresh)


async def route_console(factory: Factory, token: str, secret: str) -> ConsoleRoute:
    """Find the way from an open page to its machine, with a ticket that works once, for 30 seconds.

    Raises:
        Verdict: `console.session_over`, `vm.not_found` if the machine is gone, or `vm.wrong_state` or
            `console.unavailable` if there is no console now.

    """
    session = await factory.consoles.find(token, secret) if len(token) <= _LONGEST_TOKEN else None
    if session is None:
        raise Verdict.because(
            "console.session_over", "This console's session is over.", next="Ask for a new link: get_console_link."
        )
    grant = session.grant
    vm = await _vm(factory, grant.org_id, grant.vm_id)
    if vm is None or vm.status == "deleted":
        raise _not_found(grant.vm_id)
    relay = _check_reachable(vm)
    ticket = ConsoleTicket(
        id=factory.new_id(),
        vm_id=vm.vm_id,
        channel=grant.channel,
        mode=grant.mode,
        expires_at=factory.now() + TICKET_LIFETIME,
        ends_at=session.ends_at,
    )
    url = f"{relay.rstrip('/')}/{grant.channel}/{vm.vm_id}"
    return ConsoleRoute(session, url, factory.tickets.sign(ticket), vm.spec.idle_stop)


async def note_use(factory: Factory, vm_id: str) -> None:
    """Tell a machine that somebody looks at it, so that it is not idle; what cannot be told is left."""
    with suppress(Fault, Verdict):
        await factory.vms.touch(vm_id)


async def living_consoles(factory: Factory, session_ids: Collection[str]) -> frozenset[str]:
    """Tell which of the sessions have not been ended."""
    return await factory.consoles.living(session_ids)


async def _vm(factory: Factory, org_id: str, vm_id: str) -> VmState | None:
    async with factory.reads.org(org_id) as reads:
        return await reads.vms.get(vm_id)


def _check_reachable(vm: VmState) -> str:
    """Return the address of the relay of the machine's host."""
    if vm.status not in _WITH_CONSOLE:
        raise Verdict.because(
            "vm.wrong_state",
            f"The machine is {vm.status}, and only a running one has a console.",
            path="vm_id",
            next="Call start_vm, then ask again."
            if vm.status in {"stopped", "failed", "lost"}
            else "Call get_vm to see how it goes on.",
        )
    if vm.relay is None:
        raise Verdict.because(
            "console.unavailable",
            "The host of this machine offers no consoles.",
            path="vm_id",
            next="Use get_vm_screenshot or run_vm_command.",
        )
    return vm.relay


def _not_found(vm_id: str) -> Verdict:
    return Verdict.because(
        "vm.not_found",
        "There is no machine with this id.",
        path="vm_id",
        value=vm_id[:64],
        next="Call list_vms to see the machines of your organization.",
    )
