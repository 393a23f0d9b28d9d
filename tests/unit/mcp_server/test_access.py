"""Every tool as operator, nobody, another organization and a lower permission; no tool without a row."""

from typing import Any

import pytest
from mcp.types import CallToolResult

from domain.caller import Caller
from domain.image.commands import ReceiveImage, RequestImage
from domain.image.inputs import ImageRequest
from domain.rebuild.commands import CreateSchedule
from domain.vm.commands import RecordSnapshot
from mcp_server.server import build_tools
from service.admission.credentials import OPERATOR
from service.recipe_commands import SaveWish, save_recipe
from tests.fakes.factory import GUEST, NOBODY, READER, STRANGER, World, failed, published, recipe_document
from tests.fakes.rebuilds import kept_schedule
from tests.fakes.suites import SUITE, asked_run, kept_suite, plan_of_cases
from tests.machines import request
from tests.unit.mcp_server.conftest import Connect

ID = "11111111-1111-4111-8111-111111111111"
BUILT = "33333333-3333-4333-8333-333333333333"
UPLOAD = {"name": "x.qcow2", "format": "qcow2", "bytes": 10, "sha256": "ab" * 32}
UPLOADED = ImageRequest.model_validate({**UPLOAD, "image_id": ID, "org_id": "local", "requested_by": "operator"})
OK = "ok"

# tool: arguments, then what the operator, a reader of the same organization and another organization get.
ROWS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "whoami": ({}, OK, OK, OK),
    "list_recipes": ({}, OK, OK, OK),
    "list_recipe_categories": ({}, OK, OK, OK),
    "get_recipe": ({"name": "mine"}, OK, OK, "recipe.not_found"),
    "validate_recipe": ({"recipe": recipe_document()}, OK, OK, OK),
    "customize_recipe": ({"recipe": "minimal-bookworm", "patch": {"name": "own"}}, OK, OK, OK),
    "save_recipe": ({"recipe": {**recipe_document(), "name": "own"}}, OK, "permission.denied", OK),
    "delete_recipe": ({"name": "mine"}, OK, "permission.denied", "recipe.not_found"),
    "create_build": ({"recipe": recipe_document()}, OK, "permission.denied", OK),
    "list_builds": ({}, OK, OK, OK),
    "get_build_status": ({"build_id": ID}, OK, OK, "build.not_found"),
    "get_build_log": ({"build_id": ID}, OK, OK, "build.not_found"),
    "retry_build": ({"build_id": ID}, OK, "permission.denied", "build.not_found"),
    "cancel_build": ({"build_id": ID}, OK, "permission.denied", "build.not_found"),
    "delete_build": ({"build_id": BUILT}, "build.not_ended", "permission.denied", "build.not_found"),
    "get_download_links": ({"build_id": ID}, OK, OK, "build.not_found"),
    "get_build_evidence": ({"build_id": ID}, OK, OK, "build.not_found"),
    "compare_builds": ({"before": ID, "after": BUILT}, OK, OK, "build.not_found"),
    "create_rebuild_schedule": ({"recipe": recipe_document()}, OK, "permission.denied", OK),
    "list_rebuild_schedules": ({}, OK, OK, OK),
    "update_rebuild_schedule": ({"schedule_id": ID, "paused": True}, OK, "permission.denied", "rebuild.not_found"),
    "delete_rebuild_schedule": ({"schedule_id": ID}, OK, "permission.denied", "rebuild.not_found"),
    "create_image_upload": (UPLOAD, OK, "permission.denied", OK),
    "list_images": ({}, OK, OK, OK),
    "get_image": ({"image_id": ID}, OK, OK, "image.not_found"),
    "delete_image": ({"image_id": ID}, OK, "permission.denied", "image.not_found"),
    "create_vm": ({"build_id": BUILT}, OK, "permission.denied", "build.not_found"),
    "list_vms": ({}, OK, OK, OK),
    "get_vm": ({"vm_id": ID}, OK, OK, "vm.not_found"),
    "start_vm": ({"vm_id": ID}, OK, "permission.denied", "vm.not_found"),
    "stop_vm": ({"vm_id": ID}, OK, "permission.denied", "vm.not_found"),
    "restart_vm": ({"vm_id": ID}, OK, "permission.denied", "vm.not_found"),
    "extend_vm": ({"vm_id": ID, "minutes": 60}, OK, "permission.denied", "vm.not_found"),
    "delete_vm": ({"vm_id": ID}, OK, "permission.denied", "vm.not_found"),
    "get_console_link": ({"vm_id": ID}, OK, "permission.denied", "vm.not_found"),
    "snapshot_vm": ({"vm_id": ID}, OK, "permission.denied", "vm.not_found"),
    "restore_vm": ({"vm_id": ID, "snapshot_id": ID}, OK, "permission.denied", "vm.not_found"),
    "list_snapshots": ({"vm_id": ID}, OK, OK, "vm.not_found"),
    "delete_snapshot": ({"vm_id": ID, "snapshot_id": ID}, OK, "permission.denied", "vm.not_found"),
    "get_vm_screenshot": ({"vm_id": ID}, OK, OK, "vm.not_found"),
    "run_vm_command": ({"vm_id": ID, "command": ["true"]}, OK, "permission.denied", "vm.not_found"),
    "run_verification": ({"build_id": ID}, "build.no_image", "permission.denied", "build.not_found"),
    "list_test_runs": ({}, OK, OK, OK),
    "get_test_run": ({"run_id": ID}, OK, OK, "test_run.not_found"),
    "cancel_test_run": ({"run_id": ID}, OK, "permission.denied", "test_run.not_found"),
    "create_test_suite": ({"suite": SUITE}, OK, "permission.denied", OK),
    "list_test_suites": ({}, OK, OK, OK),
    "get_test_suite": ({"suite_id": ID}, OK, OK, "suite.not_found"),
    "update_test_suite": ({"suite_id": ID, "suite": SUITE}, OK, "permission.denied", "suite.not_found"),
    "update_test_suite_targets": (
        {"suite_id": ID, "targets": {"primary": ID}},
        OK,
        "permission.denied",
        "suite.not_found",
    ),
    "run_test_suite": ({"suite_id": ID}, "suite.not_ready", "permission.denied", "suite.not_found"),
    "list_test_suite_runs": ({"suite_id": ID}, OK, OK, "suite.not_found"),
    "get_test_suite_status": ({"suite_id": ID}, OK, OK, "suite.not_found"),
}
# What a guest, who is another organization still, gets where that differs.
GUEST_ROWS = {
    "create_rebuild_schedule": "rebuild.quota",
    "create_image_upload": "permission.denied",
    "delete_image": "permission.denied",
    **dict.fromkeys(
        (
            "run_verification",
            "cancel_test_run",
            "create_test_suite",
            "update_test_suite",
            "update_test_suite_targets",
            "run_test_suite",
        ),
        "permission.denied",
    ),
}
CALLERS: dict[str, Caller | None] = {
    "operator": OPERATOR,
    "reader": READER,
    "other organization": STRANGER,
    "guest": GUEST,
    "without permissions": NOBODY,
    "nobody": None,
}


def expected(tool: str, who: str) -> str:
    _, operator, reader, other = ROWS[tool]
    rights = {"without permissions": "permission.denied", "nobody": "auth.required"}
    guest = GUEST_ROWS.get(tool, other)
    return {"operator": operator, "reader": reader, "other organization": other, "guest": guest, **rights}[who]


def outcome(result: CallToolResult) -> str:
    if result.is_error is not True:
        return OK
    assert result.structured_content is not None
    return str(result.structured_content["code"])


TOOL_NAMES = sorted(tool.name for tool in build_tools(World().factory, lambda _: OPERATOR))


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("tool", TOOL_NAMES)
async def test_a_tool_answers_whom_it_should(connect: Connect, world: World, tool: str, who: str) -> None:
    assert tool in ROWS, f"{tool} has no row: say who may use it"
    world.build(failed(ID), build_id=ID)
    kept_suite(world.tests, ID)
    await save_recipe(world.factory, OPERATOR, {**recipe_document(), "name": "mine"}, SaveWish())
    asked_run(world.tests, ID, plan_of_cases("web"))
    world.build(published(BUILT), build_id=BUILT)
    world.vms.have(request(ID, org_id="local"))
    world.vms.tell(ID, RecordSnapshot(snapshot_id=ID, name="x", memory=True, bytes=1, seconds=1.0))
    for command in (RequestImage(request=UPLOADED, upload_seconds=60), ReceiveImage()):
        world.images.do(ID, command)
    world.rebuilds.do(ID, CreateSchedule(request=kept_schedule(ID)))
    async with connect(CALLERS[who]) as client:
        result = await client.call_tool(tool, ROWS[tool][0])
    assert outcome(result) == expected(tool, who)
    if who in {"other organization", "guest"} and tool == "list_builds":
        assert result.structured_content == {"builds": []}


def test_no_row_is_left_of_a_tool_that_is_gone() -> None:
    assert set(ROWS) == set(TOOL_NAMES)
