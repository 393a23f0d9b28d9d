"""A link opens a machine's console once, and only its own page finds the way to the machine."""

from datetime import timedelta

import pytest

from domain.caller import Caller
from domain.errors import FactoryError, Fault, Verdict
from domain.vm.state import VmStatus
from infra.console_tickets import TicketSigner
from service.admission.credentials import OPERATOR
from service.consoles import get_console_link, living_consoles, note_use, open_console, route_console
from tests.fakes.consoles import VM_ID, vm_with_console
from tests.fakes.factory import NOBODY, READER, STRANGER, World

RELAY = "http://127.0.0.1:7301"


@pytest.fixture
def world() -> World:
    world = World()
    world.reads.vms[VM_ID] = vm_with_console(RELAY)
    return world


async def link_token(world: World, *, view_only: bool = False) -> str:
    link = await get_console_link(world.factory, OPERATOR, VM_ID, view_only=view_only)
    return link.url.removeprefix("http://127.0.0.1:7300/console/")


async def opened(world: World, *, view_only: bool = False) -> tuple[str, str]:
    token = await link_token(world, view_only=view_only)
    page = await open_console(world.factory, token, None)
    assert page.secret is not None
    return token, page.secret


async def test_a_link_is_for_a_minute_and_says_what_it_is_for(world: World) -> None:
    link = await get_console_link(world.factory, OPERATOR, VM_ID, "serial", view_only=True)
    assert link.url.startswith("http://127.0.0.1:7300/console/")
    assert link.expires_at == world.now + timedelta(seconds=60)
    assert (link.vm_id, link.channel, link.view_only) == (VM_ID, "serial", True)
    assert "opens once" in link.note
    [(grant, _)] = world.grants.links.values()
    assert (grant.org_id, grant.subject, grant.vm_id) == ("local", "operator", VM_ID)
    assert (grant.channel, grant.mode) == ("serial", "view")


@pytest.mark.parametrize("caller", [READER, NOBODY])
async def test_without_the_permission_there_is_no_link(world: World, caller: Caller) -> None:
    with pytest.raises(Verdict) as refused:
        await get_console_link(world.factory, caller, VM_ID)
    assert refused.value.code == "permission.denied"
    assert not world.grants.links


@pytest.mark.parametrize("vm_id", ["22222222-2222-4222-8222-222222222222", "../../etc", "", "\x00"])
async def test_a_machine_that_is_not_there_looks_like_a_foreign_one(world: World, vm_id: str) -> None:
    with pytest.raises(Verdict) as absent:
        await get_console_link(world.factory, OPERATOR, vm_id)
    with pytest.raises(Verdict) as foreign:
        await get_console_link(world.factory, STRANGER, VM_ID)
    assert absent.value.code == foreign.value.code == "vm.not_found"
    assert absent.value.problems[0].message == foreign.value.problems[0].message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("pending", "vm.wrong_state"),
        ("stopped", "vm.wrong_state"),
        ("failed", "vm.wrong_state"),
        ("lost", "vm.wrong_state"),
        ("deleting", "vm.wrong_state"),
        ("deleted", "vm.not_found"),
    ],
)
async def test_only_a_running_machine_has_a_console(world: World, status: VmStatus, code: str) -> None:
    world.reads.vms[VM_ID] = vm_with_console(RELAY, status=status)
    with pytest.raises(Verdict) as refused:
        await get_console_link(world.factory, OPERATOR, VM_ID)
    assert refused.value.code == code
    assert refused.value.problems[0].next


async def test_a_host_without_a_relay_offers_no_console(world: World) -> None:
    world.reads.vms[VM_ID] = vm_with_console(None)
    with pytest.raises(Verdict) as refused:
        await get_console_link(world.factory, OPERATOR, VM_ID)
    assert refused.value.code == "console.unavailable"


async def test_a_link_opens_one_page_which_may_be_loaded_again_by_its_own_browser(world: World) -> None:
    token, secret = await opened(world)
    again = await open_console(world.factory, token, secret)
    assert again.secret is None
    assert (again.vm_name, again.vm_status) == ("web", "running")
    for other in (None, "", "secret-99"):
        with pytest.raises(Verdict) as refused:
            await open_console(world.factory, token, other)
        assert refused.value.code == "console.token_invalid"
        assert "get_console_link" in (refused.value.problems[0].next or "")


async def test_a_link_that_expired_or_never_was_opens_nothing(world: World) -> None:
    token = await link_token(world)
    world.now += timedelta(seconds=60)
    for wrong in (token, "never", "x" * 10_000, ""):
        with pytest.raises(Verdict) as refused:
            await open_console(world.factory, wrong, None)
        assert refused.value.code == "console.token_invalid"


async def test_the_way_to_the_machine_is_the_pages_alone_and_its_ticket_says_what_was_granted(world: World) -> None:
    token, secret = await opened(world, view_only=True)
    route = await route_console(world.factory, token, secret)
    assert route.url == f"{RELAY}/vnc/{VM_ID}"
    ticket = TicketSigner(b"k" * 32).verify(route.ticket, now=world.now)
    assert (ticket.vm_id, ticket.channel, ticket.mode) == (VM_ID, "vnc", "view")
    assert ticket.expires_at == world.now + timedelta(seconds=30)
    assert ticket.ends_at == route.session.ends_at
    assert (await route_console(world.factory, token, secret)).ticket != route.ticket
    other, other_secret = await opened(world)
    for wrong in ((token, other_secret), (other, secret), (token, "")):
        with pytest.raises(Verdict) as refused:
            await route_console(world.factory, *wrong)
        assert refused.value.code == "console.session_over"


async def test_a_session_is_over_when_it_is_revoked_or_its_time_is_up(world: World) -> None:
    token, secret = await opened(world)
    session = (await route_console(world.factory, token, secret)).session
    assert await living_consoles(world.factory, [session.id]) == {session.id}
    world.now += timedelta(hours=4)
    assert await living_consoles(world.factory, [session.id]) == frozenset()
    token, secret = await opened(world)
    await world.grants.revoke("local", vm_id=VM_ID)
    with pytest.raises(Verdict) as refused:
        await route_console(world.factory, token, secret)
    assert refused.value.code == "console.session_over"


async def test_a_machine_that_was_stopped_has_no_console_until_it_runs_again(world: World) -> None:
    token, secret = await opened(world)
    world.reads.vms[VM_ID] = vm_with_console(RELAY, status="stopped")
    assert (await open_console(world.factory, token, secret)).vm_status == "stopped"
    with pytest.raises(Verdict) as refused:
        await route_console(world.factory, token, secret)
    assert refused.value.code == "vm.wrong_state"
    world.reads.vms[VM_ID] = vm_with_console(RELAY)
    assert await route_console(world.factory, token, secret)


async def test_what_does_not_answer_is_a_fault(world: World) -> None:
    world.grants.away = True
    with pytest.raises(FactoryError) as refused:
        await get_console_link(world.factory, OPERATOR, VM_ID)
    assert isinstance(refused.value, Fault)


async def test_an_open_console_keeps_an_idle_machine_from_stopping(world: World) -> None:
    vm = world.reads.vms[VM_ID]
    world.reads.vms[VM_ID] = vm.model_copy(update={"spec": vm.spec.model_copy(update={"idle_stop": 600})})
    route = await route_console(world.factory, *await opened(world))
    assert route.idle_stop == 600
    await note_use(world.factory, VM_ID)
    assert VM_ID in world.vms.touched
    world.vms.away = True
    await note_use(world.factory, VM_ID)  # nobody's console breaks because the engine is away
