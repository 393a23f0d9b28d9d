"""From a saved recipe to evidence: kept, built by its name, looked into, built again; changed and compared."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cli.client.session import FactorySession
from tests.e2e.stack import Stack, until_ended

BUILD_SECONDS = 800.0
HISTORY_SECONDS = 120.0


@pytest.mark.e2e
@pytest.mark.timeout(1800)
async def test_a_recipe_is_kept_built_by_its_name_and_run_again_with_the_same_bytes(
    stack: Stack, session: FactorySession
) -> None:
    first = await _verified(session)
    kept = {"recipe": f"build:{first['build_id']}", "category": "lab", "request_key": "save-1"}
    saved = await session.call("save_recipe", kept)
    assert (saved["name"], saved["version"], saved["visible"]) == (first["name"], 1, True)
    assert (await session.call("save_recipe", kept))["replayed"]
    counted = (await session.call("list_recipe_categories", {}))["categories"]
    assert {"name": "lab", "built_in": 0, "saved": 1} in counted

    evidence = await session.call("get_build_evidence", {"build_id": first["build_id"]})
    assert evidence["sound"], evidence["problems"]
    assert {image["kind"]: image["bound"] for image in evidence["images"]} == {"qcow2": True, "iso": True}
    await _documents_are_whole(evidence)

    by_name = await session.call("create_build", {"recipe": first["name"]})
    again = await session.call("create_build", {"rerun_of": first["build_id"], "request_key": "again-1"})
    for build in (by_name, again):
        view = await until_ended(session, build["build_id"], deadline=BUILD_SECONDS)
        assert view["status"] == "completed", view["failure"]
        same = await session.call("compare_builds", {"before": first["build_id"], "after": build["build_id"]})
        assert [image["identical"] for image in same["images"]] == [True, True]
        evidence = await session.call("get_build_evidence", {"build_id": build["build_id"]})
        assert evidence["sound"], evidence["problems"]
        assert all(image.get("reused") for image in evidence["images"]), evidence["images"]
    assert view["rerun_of"] == first["build_id"]
    assert stack.run("evidence", first["build_id"]).returncode == 0
    assert stack.run("recipe-delete", first["name"], "--yes").returncode == 0


@pytest.mark.templates
@pytest.mark.timeout(3600)
async def test_a_changed_recipe_is_built_compared_and_searched_and_its_history_is_kept(
    stack: Stack, session: FactorySession, tmp_path: Path
) -> None:
    first = await _verified(session)
    there = {"type": "file_exists", "params": {"path": "/srv/hello"}}
    edits = [
        {"edit": "add_startup_script", "name": "hello", "script": "touch /srv/hello"},
        {"edit": "add_test", "description": "hello", "assertions": [there]},
    ]
    changed = await session.call("customize_recipe", {"recipe": f"build:{first['build_id']}", "edits": edits})
    assert {change["path"] for change in changed["changes"]} == {"startupScripts.hello", "tests.hello"}
    second = await session.call("create_build", {"recipe": changed["recipe"]})
    view = await until_ended(session, second["build_id"], deadline=BUILD_SECONDS)
    assert view["status"] == "completed", view["failure"]
    compared = await session.call("compare_builds", {"before": first["build_id"], "after": "latest"})
    assert {change["path"] for change in compared["recipe"]} == {"startupScripts.hello", "tests.hello"}
    assert compared["packages"]["before"] == compared["packages"]["after"]
    assert [image["identical"] for image in compared["images"]] == [False, False]
    assert {change["image"] for change in compared["assertions"]} == {"qcow2"}, "the ISO is not asked"
    assert all(change["after"] and "before" not in change for change in compared["assertions"])

    found = await session.call("get_build_log", {"build_id": second["build_id"], "search": "digest", "context": 1})
    assert any(line.get("match") for line in found["lines"])
    numbers = [line["line"] for line in found["lines"]]
    around = await session.call("get_build_log", {"build_id": "latest", "start": numbers[0], "end": numbers[0]})
    assert around["lines"][0]["text"] == found["lines"][0]["text"]

    history = await _history(stack, session, first["build_id"])
    (tmp_path / history["name"]).write_bytes(await _fetched(history))
    replayed = stack.run("replay", str(tmp_path / history["name"]))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


async def _verified(session: FactorySession) -> dict[str, Any]:
    """Return a build that another test has made, or make one: real builds are slow."""
    builds = (await session.call("list_builds", {"status": "completed", "limit": 1}))["builds"]
    if builds:
        return dict(builds[0])
    made = await session.call("create_build", {"recipe": {"name": "kept", "baseImage": "debian-bookworm"}})
    view = await until_ended(session, made["build_id"], deadline=BUILD_SECONDS)
    assert view["status"] == "completed", view["failure"]
    return view


async def _history(stack: Stack, session: FactorySession, build_id: str) -> dict[str, Any]:
    """Have the histories of closed runs kept now, not only at the next of their times, and return the build's."""
    async with asyncio.timeout(HISTORY_SECONDS):
        while True:
            assert stack.temporal("schedule", "trigger", "--schedule-id", "historian").returncode == 0
            asked = {"build_id": build_id, "kind": "history"}
            links = (await session.call("get_download_links", asked))["links"]
            if links:
                return dict(links[-1])
            await asyncio.sleep(1)


async def _fetched(link: dict[str, Any]) -> bytes:
    """Fetch a file and see that it has its digest."""
    async with httpx2.AsyncClient() as http:
        data = (await http.get(link["url"])).content
    assert hashlib.sha256(data).hexdigest() == link["sha256"], link["name"]
    return data


async def _documents_are_whole(evidence: dict[str, Any]) -> None:
    assert "lock.json" in {document["name"] for document in evidence["documents"]}
    for document in evidence["documents"]:
        await _fetched(document)
