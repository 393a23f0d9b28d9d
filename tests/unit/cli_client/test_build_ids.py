import pytest

from cli.client.build_ids import resolve_build
from cli.client.failures import ClientFailure, UsageFailure
from tests.fakes.tools import BUILD_ID, FakeTools

OTHER = "5d1cffff-8a51-4a3c-9d55-0b6f0e2a7c11"


def page(*ids: str) -> dict[str, object]:
    moment = "2026-11-22T10:00:00Z"
    common = {"name": "demo", "base_image": "debian-bookworm", "status": "failed", "created_at": moment}
    return {"builds": [{"build_id": i, "updated_at": moment, **common} for i in ids]}


async def test_a_whole_id_needs_no_question() -> None:
    tools = FakeTools()
    assert await resolve_build(tools, BUILD_ID.upper()) == BUILD_ID
    assert tools.asked == []


async def test_a_workflow_id_is_understood() -> None:
    assert await resolve_build(FakeTools(), f"build-{BUILD_ID}") == BUILD_ID


async def test_a_unique_prefix_of_a_recent_build() -> None:
    assert await resolve_build(FakeTools(list_builds=page(BUILD_ID, OTHER)), "5d1c3") == BUILD_ID


async def test_a_prefix_of_two_builds_names_them() -> None:
    with pytest.raises(UsageFailure) as failure:
        await resolve_build(FakeTools(list_builds=page(BUILD_ID, OTHER)), "5d1c")
    assert failure.value.problems[0].suggestions == (BUILD_ID, OTHER)
    assert failure.value.exit_code == 2


async def test_latest_is_the_newest() -> None:
    tools = FakeTools(list_builds=page(OTHER))
    assert await resolve_build(tools, "latest") == OTHER
    assert tools.asked == [("list_builds", {"limit": 1})]


@pytest.mark.parametrize("given", ["latest", "abcd"])
async def test_no_such_build(given: str) -> None:
    with pytest.raises(ClientFailure, match=r"build\.not_found"):
        await resolve_build(FakeTools(list_builds=page()), given)


@pytest.mark.parametrize("given", ["", "ab", "hello", "../../etc", "--help"])
async def test_what_is_no_id_is_refused_without_asking(given: str) -> None:
    with pytest.raises(UsageFailure):
        await resolve_build(FakeTools(), given)
