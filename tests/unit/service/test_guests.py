"""Guests: let in by a token of the factory's own, metered, each alone in an organization."""

from datetime import timedelta

import pytest

from domain.caller import Caller, Permission
from domain.errors import FactoryError, RateLimited, Verdict
from domain.guest import guest_org
from domain.plan import plan_of
from service.admission.guests import LIFETIME, PER_NETWORK
from service.build_commands import retry_build
from service.build_create import create_build
from service.guests import mint_guest
from service.identity import authenticate, whoami
from service.vm_create import VmWish, create_vm
from tests.fakes.factory import GUEST, OPERATOR, World, failed, published, recipe_document

ALLOWANCE = plan_of("guest").allowance or pytest.fail("guests are not metered")
ORG = GUEST.org_id
BUILT = "33333333-3333-4333-8333-333333333333"
FAILED = "44444444-4444-4444-8444-444444444444"


async def guest_of(world: World, token: str) -> Caller:
    return await authenticate(world.factory, None, token)


async def refusal(world: World, token: str) -> str:
    with pytest.raises(Verdict) as refused:
        await guest_of(world, token)
    assert refused.value.problems[0].next
    return refused.value.code


async def test_a_minted_token_is_a_caller_of_an_organization_of_its_own(world: World) -> None:
    first, second = [await mint_guest(world.factory, "192.0.2.1") for _ in range(2)]
    caller, other = await guest_of(world, first.token), await guest_of(world, second.token)
    assert caller.org_id == guest_org(first.guest.guest_id)
    assert other.org_id != caller.org_id
    assert caller.plan == "guest"
    assert caller.permissions == {Permission.READ, Permission.BUILD, Permission.VM}
    assert caller.expires_at == first.guest.expires_at


async def test_a_browser_with_a_token_that_holds_gets_the_same_again(world: World) -> None:
    made = await mint_guest(world.factory, "192.0.2.1")
    assert await mint_guest(world.factory, "198.51.100.1", token=made.token) == made
    await world.guests.revoke(made.guest.guest_id)
    assert (await mint_guest(world.factory, "192.0.2.1", token=made.token)).guest != made.guest
    assert (await mint_guest(world.factory, "192.0.2.1", token="ofg_nonsense")).guest != made.guest


async def test_tokens_that_do_not_hold_say_why(world: World) -> None:
    made = await mint_guest(world.factory, "192.0.2.1")
    tampered = made.token[:-2] + ("A" if made.token[-2] != "A" else "B") + made.token[-1]
    for wrong in ("x", "ofg_", made.token[4:], tampered, made.token + "A", "ofg_" + "A" * 9999, "ofg_\ud800"):
        assert await refusal(world, wrong) == "guest.invalid"
    await world.guests.revoke(made.guest.guest_id)
    assert await refusal(world, made.token) == "guest.revoked"
    another = await mint_guest(world.factory, "192.0.2.1")
    world.now += LIFETIME + timedelta(seconds=1)
    assert await refusal(world, another.token) == "guest.expired"


async def test_a_factory_without_guests_lets_none_in_and_makes_none() -> None:
    on = World()
    token = (await mint_guest(on.factory, "192.0.2.1")).token
    off = World(guests_on=False)
    assert await refusal(off, token) == "guest.off"
    with pytest.raises(Verdict, match=r"guest\.off"):
        await mint_guest(off.factory, "192.0.2.1")


async def test_a_key_goes_before_a_token(world: World) -> None:
    token = (await mint_guest(world.factory, "192.0.2.1")).token
    assert await authenticate(world.factory, "operator-key", token) == OPERATOR
    with pytest.raises(Verdict, match=r"auth\.invalid"):
        await authenticate(world.factory, "wrong-key", token)


async def test_one_network_mints_only_so_many_a_day(world: World) -> None:
    for _ in range(PER_NETWORK):
        await mint_guest(world.factory, "192.0.2.1")
    with pytest.raises(RateLimited) as refused:
        await mint_guest(world.factory, "192.0.2.1")
    assert refused.value.retry_after > 1
    await mint_guest(world.factory, "198.51.100.1")


async def test_a_guest_sees_what_is_left_and_is_refused_what_is_not(world: World) -> None:
    for number in range(ALLOWANCE.open_builds):
        await create_build(world.factory, GUEST, recipe_document(), request_key=str(number))
    with pytest.raises(Verdict) as refused:
        await create_build(world.factory, GUEST, recipe_document(), request_key="one-more")
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("build.quota", "open_builds")
    assert "cancel_build" in str(problem.next)
    assert len(world.workflows.started) == ALLOWANCE.open_builds
    assert {request.plan for request in world.workflows.started} == {"guest"}
    left = {quota.name: quota.left for quota in (await whoami(world.factory, GUEST)).quotas}
    assert left == {
        "builds_per_day": ALLOWANCE.builds_per_day - ALLOWANCE.open_builds,
        "open_builds": 0,
        "vm_minutes_per_day": ALLOWANCE.vm_minutes_per_day,
    }


async def test_a_request_that_was_made_before_is_answered_when_the_quota_is_spent(world: World) -> None:
    for number in range(ALLOWANCE.open_builds):
        await create_build(world.factory, GUEST, recipe_document(), request_key=str(number))
    assert (await create_build(world.factory, GUEST, recipe_document(), request_key="0")).replayed


async def test_so_is_one_that_is_not_visible_yet(world: World) -> None:
    world.workflows.lagging = True
    first = await create_build(world.factory, GUEST, recipe_document(), request_key="first")
    world.workflows.lagging = False
    for number in range(ALLOWANCE.open_builds):
        await create_build(world.factory, GUEST, recipe_document(), request_key=str(number))
    again = await create_build(world.factory, GUEST, recipe_document(), request_key="first")
    assert (again.build_id, again.replayed, again.visible) == (first.build_id, True, False)


async def test_a_build_that_the_log_refuses_after_all_is_refused(world: World) -> None:
    world.workflows.spent = True
    with pytest.raises(Verdict, match=r"build\.quota"):
        await create_build(world.factory, GUEST, recipe_document())


async def test_a_retry_needs_a_build_that_is_left(world: World) -> None:
    world.build(failed(FAILED, org_id=ORG), build_id=FAILED, org_id=ORG)
    for number in range(ALLOWANCE.open_builds):
        await create_build(world.factory, GUEST, recipe_document(), request_key=str(number))
    with pytest.raises(Verdict, match=r"build\.quota"):
        await retry_build(world.factory, GUEST, FAILED)


async def test_a_guests_machine_takes_minutes_of_the_day(world: World) -> None:
    world.build(published(BUILT, org_id=ORG), build_id=BUILT, org_id=ORG)
    first = await create_vm(world.factory, GUEST, VmWish(build_id=BUILT, memory=512, ttl_minutes=50))
    assert first.expires_at is not None
    quota = next(q for q in (await whoami(world.factory, GUEST)).quotas if q.name == "vm_minutes_per_day")
    assert quota.left == ALLOWANCE.vm_minutes_per_day - 50


async def test_what_a_guest_may_not_do_is_refused_with_a_way_out(world: World) -> None:
    with pytest.raises(FactoryError) as refused:
        await create_vm(world.factory, GUEST, VmWish(build_id=BUILT, egress=True, persistent=True))
    assert refused.value.problems[0].next


async def test_the_operator_is_not_metered(world: World) -> None:
    for number in range(ALLOWANCE.builds_per_day + 1):
        await create_build(world.factory, OPERATOR, recipe_document(), request_key=str(number))
    assert (await whoami(world.factory, OPERATOR)).quotas == ()
