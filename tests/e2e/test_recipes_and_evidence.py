"""From a saved recipe to evidence: kept, changed, built, looked into, compared, and built again."""

import hashlib
from typing import Any

import httpx2
import pytest

from cli.client.session import FactorySession
from tests.e2e.stack import Stack, until_ended

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

BUILD_SECONDS = 800.0


async def test_a_saved_recipe_is_built_changed_compared_and_built_again(stack: Stack, session: FactorySession) -> None:
    recipe = {"name": "kept", "baseImage": "debian-bookworm"}
    saved = await session.call("save_recipe", {"recipe": recipe, "category": "lab", "request_key": "save-1"})
    assert (saved["version"], saved["visible"]) == (1, True)
    assert (await session.call("save_recipe", {"recipe": recipe, "category": "lab", "request_key": "save-1"}))[
        "replayed"
    ]
    counted = (await session.call("list_recipe_categories", {}))["categories"]
    assert {"name": "lab", "built_in": 0, "saved": 1} in counted

    first = await session.call("create_build", {"recipe": "kept"})
    view = await until_ended(session, first["build_id"], deadline=BUILD_SECONDS)
    assert view["status"] == "completed", view["failure"]
    evidence = await session.call("get_build_evidence", {"build_id": "latest-verified:kept"})
    assert evidence["sound"], evidence["problems"]
    assert {image["kind"]: image["bound"] for image in evidence["images"]} == {"qcow2": True, "iso": True}
    await _documents_are_whole(evidence)

    edits = [{"edit": "add_startup_script", "name": "hello", "script": "echo hello"}]
    changed = await session.call("customize_recipe", {"recipe": "kept", "edits": edits})
    assert [change["path"] for change in changed["changes"]] == ["startupScripts.hello"]
    second = await session.call("create_build", {"recipe": changed["recipe"]})
    view = await until_ended(session, second["build_id"], deadline=BUILD_SECONDS)
    assert view["status"] == "completed", view["failure"]
    compared = await session.call("compare_builds", {"before": first["build_id"], "after": "latest:kept"})
    assert [change["path"] for change in compared["recipe"]] == ["startupScripts.hello"]
    assert compared["packages"]["before"] == compared["packages"]["after"]
    assert [image["identical"] for image in compared["images"]] == [False, False]
    assert any("hello" in change["description"] for change in compared["assertions"])

    found = await session.call("get_build_log", {"build_id": second["build_id"], "search": "SHA256", "context": 1})
    assert any(line.get("match") for line in found["lines"])
    numbers = [line["line"] for line in found["lines"]]
    around = await session.call("get_build_log", {"build_id": "latest", "start": numbers[0], "end": numbers[0]})
    assert around["lines"][0]["text"] == found["lines"][0]["text"]

    again = await session.call("create_build", {"rerun_of": first["build_id"], "request_key": "again-1"})
    view = await until_ended(session, again["build_id"], deadline=BUILD_SECONDS)
    assert (view["status"], view["rerun_of"]) == ("completed", first["build_id"])
    same = await session.call("compare_builds", {"before": first["build_id"], "after": again["build_id"]})
    assert [image["identical"] for image in same["images"]] == [True, True]
    locks = [await _lock(session, build["build_id"]) for build in (first, again)]
    assert locks[0] == locks[1]

    shown = stack.run("evidence", "latest-verified:kept")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert stack.run("recipe-delete", "kept", "--yes").returncode == 0


async def _lock(session: FactorySession, build_id: str) -> str:
    documents = (await session.call("get_build_evidence", {"build_id": build_id}))["documents"]
    return next(document["sha256"] for document in documents if document["name"] == "lock.json")


async def _documents_are_whole(evidence: dict[str, Any]) -> None:
    async with httpx2.AsyncClient() as http:
        for document in evidence["documents"]:
            data = (await http.get(document["url"])).content
            assert hashlib.sha256(data).hexdigest() == document["sha256"], document["name"]
