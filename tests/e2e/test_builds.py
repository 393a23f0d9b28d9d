"""Real builds on a real stack, through the public road, under faults too."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cli.client.session import FactorySession, ToolFailed
from tests.e2e.stack import Stack, until_ended, until_step
from tests.invariants import assert_nothing_left

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BUILD_SECONDS = 800.0
STEP_SECONDS = 400.0


def tiny(name: str, **more: object) -> dict[str, Any]:
    """The smallest recipe that can be verified."""
    return {"name": name, "baseImage": "debian-bookworm", **more}


async def test_a_build_survives_its_worker_being_killed_in_the_boot(stack: Stack, session: FactorySession) -> None:
    request = {"recipe": tiny("killed"), "request_key": "killed-1"}
    accepted = await session.call("create_build", request)
    again = await session.call("create_build", request)
    assert again["build_id"] == accepted["build_id"]
    assert again["replayed"] is True
    await _survives_kills(stack, session, accepted["build_id"], ("boot",))
    await _downloads_are_whole(session, accepted["build_id"])


@pytest.mark.faults
async def test_a_build_survives_its_worker_being_killed_in_a_layer_and_in_assembly(
    stack: Stack, session: FactorySession
) -> None:
    accepted = await session.call("create_build", {"recipe": tiny("killed-twice", packages=["nginx"])})
    await _survives_kills(stack, session, accepted["build_id"], ("package_layer", "assemble"))


async def _survives_kills(stack: Stack, session: FactorySession, build_id: str, steps: Sequence[str]) -> None:
    for step in steps:
        await until_step(session, build_id, step, deadline=STEP_SECONDS)
        stack.kill("host-worker")
    view = await until_ended(session, build_id, deadline=BUILD_SECONDS)
    assert view["status"] == "completed", view["failure"]
    states = {a["kind"]: a["verification"] for a in view["artifacts"] if a["kind"] in ("qcow2", "iso")}
    assert states == {"qcow2": "verified", "iso": "verified"}
    assert_nothing_left(stack.home)


async def test_a_startup_script_that_fails_is_a_verdict_and_the_image_is_kept_unverified(
    stack: Stack, session: FactorySession
) -> None:
    script = {"name": "broken", "script": "echo this cannot work >&2; exit 3"}
    accepted = await session.call("create_build", {"recipe": tiny("broken", startupScripts=[script])})
    view = await until_ended(session, accepted["build_id"], deadline=BUILD_SECONDS)
    assert view["status"] == "failed"
    assert view["failure"]["kind"] == "verdict"
    assert view["failure"]["step"] == "verify"
    assert "openfactory-startup-broken" in json.dumps(view["failure"]["problems"])
    kinds = {a["kind"]: a["verification"] for a in view["artifacts"]}
    assert kinds["qcow2"] == "unverified"
    assert "evidence" in kinds
    assert_nothing_left(stack.home)
    cancelled = stack.run("cancel", accepted["build_id"], "--yes")
    assert cancelled.returncode == 0, cancelled.stderr


async def test_cancelling_in_the_middle_leaves_nothing(stack: Stack, session: FactorySession) -> None:
    accepted = await session.call("create_build", {"recipe": tiny("cancelled", packages=["nginx"])})
    await until_step(session, accepted["build_id"], "package_layer", deadline=STEP_SECONDS)
    await session.call("cancel_build", {"build_id": accepted["build_id"]})
    view = await until_ended(session, accepted["build_id"], deadline=120)
    assert view["status"] == "cancelled"
    assert_nothing_left(stack.home)


async def test_a_misspelt_package_fails_before_anything_is_built_and_names_the_right_one(
    session: FactorySession,
) -> None:
    recipe = tiny("misspelt", packages=["openssh-sever"])
    judged = await session.call("validate_recipe", {"recipe": recipe})
    assert judged["valid"] is False
    problem = judged["problems"][0]
    assert (problem["code"], problem["path"]) == ("package.not_found", "packages[0]")
    assert "openssh-server" in problem["suggestions"]


async def test_what_is_not_a_recipe_is_refused_with_every_problem_at_once(session: FactorySession) -> None:
    recipe: dict[str, object] = {"name": "; rm -rf /", "baseImage": "debian-buster", "pakages": []}
    with pytest.raises(ToolFailed) as refused:
        await session.call("create_build", {"recipe": recipe})
    paths = {p.path for p in refused.value.problems}
    assert {"name", "baseImage", "pakages"} <= paths


async def _downloads_are_whole(session: FactorySession, build_id: str) -> None:
    """Every link gives bytes of the digest it promises, whole and in ranges."""
    links = (await session.call("get_download_links", {"build_id": build_id}))["links"]
    assert {"qcow2", "iso", "recipe", "report", "manifest"} <= {link["kind"] for link in links}
    async with httpx2.AsyncClient() as http:
        for link in links:
            seen = hashlib.sha256()
            async with http.stream("GET", link["url"]) as response:
                assert response.status_code == 200
                async for chunk in response.aiter_bytes():
                    seen.update(chunk)
            assert seen.hexdigest() == link["sha256"], link["name"]
        part = await http.get(links[0]["url"], headers={"Range": "bytes=10-19"})
        assert (part.status_code, len(part.content)) == (206, 10)


async def test_the_history_of_a_finished_build_replays(stack: Stack, session: FactorySession, tmp_path: Path) -> None:
    builds = (await session.call("list_builds", {"status": "completed", "limit": 1}))["builds"]
    if not builds:
        pytest.skip("no build has completed in this session")
    history = tmp_path / "history.json"
    shown = stack.temporal("workflow", "show", "--workflow-id", f"build-{builds[0]['build_id']}", "--output", "json")
    history.write_text(shown.stdout, encoding="utf-8")
    replayed = stack.run("replay", str(history))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
