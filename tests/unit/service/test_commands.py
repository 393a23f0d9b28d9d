"""Retrying and cancelling: what is refused, what is repeated without harm."""

import pytest

from domain.build import events as e
from domain.errors import Verdict
from service.admission.credentials import OPERATOR
from service.build_commands import cancel_build, retry_build
from tests.fakes.factory import NOW, STRANGER, World, failed

ID = "11111111-1111-4111-8111-111111111111"


def retried(command_id: str) -> e.BuildRetried:
    return e.BuildRetried(
        build_id=ID, org_id="local", at=NOW, generation=1, from_step="boot", requested_by="x", command_id=command_id
    )


async def test_a_failed_build_goes_on(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    world.reads.arriving = [retried("x")]
    view = await retry_build(world.factory, OPERATOR, ID)
    assert [build_id for build_id, _ in world.workflows.retries] == [ID]
    assert (view.status, view.visible, view.failure) == ("pending", True, None)


async def test_a_retry_names_the_try_whose_failure_was_seen(world: World) -> None:
    again = failed(ID).model_copy(update={"generation": 1})
    world.build(failed(ID), retried("x"), again, build_id=ID)
    await retry_build(world.factory, OPERATOR, ID)
    assert [command.generation for _, command in world.workflows.retries] == [1]


async def test_a_retry_that_does_not_show_yet_says_so(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    view = await retry_build(world.factory, OPERATOR, ID)
    assert view.visible is False
    assert view.next is not None
    assert "accepted" in view.next


async def test_a_repeated_retry_is_sent_under_the_same_command(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    await retry_build(world.factory, OPERATOR, ID, request_key="r1")
    await retry_build(world.factory, OPERATOR, ID, request_key="r1")
    first, second = (command.command_id for _, command in world.workflows.retries)
    assert first == second


async def test_a_retry_that_was_obeyed_is_not_sent_again(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    await retry_build(world.factory, OPERATOR, ID, request_key="r1")
    world.reads.apply(retried(world.workflows.retries[0][1].command_id))
    view = await retry_build(world.factory, OPERATOR, ID, request_key="r1")
    assert view.replayed is True
    assert len(world.workflows.retries) == 1


async def test_a_command_that_was_taken_is_answered_although_the_build_is_deleted_just_then(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    world.reads.arriving = [e.BuildDeleted(build_id=ID, org_id="local", at=NOW, requested_by="x", reason="space")]
    view = await retry_build(world.factory, OPERATOR, ID)
    assert (view.status, view.visible) == ("failed", False)
    assert "accepted" in str(view.next)


async def test_an_older_retry_is_known_again_whatever_became_of_the_build_since(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    for key in ("r1", "r2"):
        await retry_build(world.factory, OPERATOR, ID, request_key=key)
        world.reads.apply(retried(world.workflows.retries[-1][1].command_id))
        assert (await retry_build(world.factory, OPERATOR, ID, request_key="r1")).replayed is True  # it builds
        world.reads.apply(failed(ID))
        assert (await retry_build(world.factory, OPERATOR, ID, request_key="r1")).replayed is True  # it failed again
    assert len(world.workflows.retries) == 2


async def test_only_a_failed_build_can_be_retried(world: World) -> None:
    world.build(build_id=ID)
    with pytest.raises(Verdict) as refusal:
        await retry_build(world.factory, OPERATOR, ID)
    assert refusal.value.code == "build.not_failed"
    assert refusal.value.problems[0].next
    assert world.workflows.retries == []


async def test_after_the_window_a_new_build_is_proposed(world: World) -> None:
    world.build(failed(ID), e.RetryWindowClosed(build_id=ID, org_id="local", at=NOW), build_id=ID)
    with pytest.raises(Verdict) as refusal:
        await retry_build(world.factory, OPERATOR, ID)
    assert refusal.value.code == "build.retry_closed"
    assert "retry_of" in (refusal.value.problems[0].next or "")


async def test_cancelling_twice_is_harmless(world: World) -> None:
    world.build(build_id=ID)
    world.reads.arriving = [e.BuildCancelled(build_id=ID, org_id="local", at=NOW, requested_by="x", reason="no")]
    first = await cancel_build(world.factory, OPERATOR, ID)
    again = await cancel_build(world.factory, OPERATOR, ID)
    assert (first.status, again.status, again.replayed) == ("cancelled", "cancelled", True)
    assert len(world.workflows.cancels) == 1


async def test_a_completed_build_cannot_be_cancelled(world: World) -> None:
    world.build(e.BuildCompleted(build_id=ID, org_id="local", at=NOW, seconds=9.0), build_id=ID)
    with pytest.raises(Verdict, match=r"build\.ended"):
        await cancel_build(world.factory, OPERATOR, ID)


async def test_a_parked_build_can_be_given_up(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    await cancel_build(world.factory, OPERATOR, ID, reason="not worth it")
    assert world.workflows.cancels[0][1].reason == "not worth it"


@pytest.mark.parametrize("command", [retry_build, cancel_build])
async def test_another_organizations_build_looks_absent(world: World, command: type) -> None:
    world.build(failed(ID), build_id=ID)
    absent = "22222222-2222-4222-8222-222222222222"
    with pytest.raises(Verdict) as foreign:
        await command(world.factory, STRANGER, ID)
    with pytest.raises(Verdict) as missing:
        await command(world.factory, STRANGER, absent)
    theirs, none = foreign.value.problems[0], missing.value.problems[0]
    assert theirs.model_copy(update={"value": None}) == none.model_copy(update={"value": None})
