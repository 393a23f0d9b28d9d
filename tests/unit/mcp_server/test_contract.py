"""What the server promises of itself: names, hints, schemas, and its size."""

import json

import jsonschema

from domain.caller import Caller, Permission
from mcp_server.instructions import INSTRUCTIONS
from mcp_server.server import build_tools
from service.admission.credentials import OPERATOR
from service.permissions import TOOL_PERMISSIONS
from tests.fakes.factory import READER, World
from tests.unit.mcp_server.conftest import Connect

TOOLS = [
    "whoami",
    "list_recipes",
    "list_recipe_categories",
    "get_recipe",
    "validate_recipe",
    "customize_recipe",
    "save_recipe",
    "delete_recipe",
    "create_build",
    "list_builds",
    "get_build_status",
    "get_build_log",
    "retry_build",
    "cancel_build",
    "delete_build",
    "get_download_links",
    "get_build_evidence",
    "compare_builds",
    "create_rebuild_schedule",
    "list_rebuild_schedules",
    "update_rebuild_schedule",
    "delete_rebuild_schedule",
    "create_image_upload",
    "list_images",
    "get_image",
    "delete_image",
    "create_vm",
    "list_vms",
    "get_vm",
    "start_vm",
    "stop_vm",
    "restart_vm",
    "extend_vm",
    "delete_vm",
    "get_console_link",
    "snapshot_vm",
    "restore_vm",
    "list_snapshots",
    "delete_snapshot",
    "get_vm_screenshot",
    "run_vm_command",
    "run_verification",
    "list_test_runs",
    "get_test_run",
    "cancel_test_run",
    "create_test_suite",
    "list_test_suites",
    "get_test_suite",
    "update_test_suite",
    "update_test_suite_targets",
    "run_test_suite",
    "list_test_suite_runs",
    "get_test_suite_status",
]
MUTATIONS = {name for name, needed in TOOL_PERMISSIONS.items() if needed is not Permission.READ}
ENDS = {
    "cancel_build",
    "delete_build",
    "delete_recipe",
    "delete_rebuild_schedule",
    "delete_image",
    "delete_vm",
    "restore_vm",
    "delete_snapshot",
    "cancel_test_run",
}
NEW_EACH_TIME = {
    "create_build",
    "create_rebuild_schedule",
    "create_image_upload",
    "create_vm",
    "get_console_link",
    "snapshot_vm",
    "run_vm_command",
    "run_verification",
    "create_test_suite",
    "run_test_suite",
}


def _nobody(_: object) -> Caller:
    return OPERATOR


async def test_the_tools_are_these_in_this_order(connect: Connect) -> None:
    async with connect() as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS


def test_every_tool_has_a_permission_and_every_permission_a_tool(world: World) -> None:
    assert {tool.name for tool in build_tools(world.factory, _nobody)} == set(TOOL_PERMISSIONS)


async def test_who_may_only_read_sees_only_what_reads(connect: Connect) -> None:
    async with connect(READER) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == set(TOOLS) - MUTATIONS
    async with connect(None) as client:
        assert (await client.list_tools()).tools == []


def test_every_tool_says_what_it_does_to_the_world(world: World) -> None:
    for tool in build_tools(world.factory, _nobody):
        hints = tool.annotations
        assert hints is not None
        assert tool.title
        assert hints.title == tool.title
        assert hints.read_only_hint is (tool.name not in MUTATIONS)
        assert hints.open_world_hint is False
        if tool.name in MUTATIONS:
            assert hints.destructive_hint is (tool.name in ENDS)
            assert bool(hints.idempotent_hint) is (tool.name not in NEW_EACH_TIME)
        assert ("request_key" in tool.parameters["properties"]) is (tool.name in MUTATIONS)


def test_every_argument_is_described_and_no_other_is_taken(world: World) -> None:
    for tool in build_tools(world.factory, _nobody):
        assert tool.parameters["additionalProperties"] is False
        assert len(tool.description) > 60
        for name, schema in tool.parameters["properties"].items():
            assert schema.get("description"), f"{tool.name}.{name}"


def test_every_schema_is_one(world: World) -> None:
    for tool in build_tools(world.factory, _nobody):
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == "object"
        for schema in (tool.parameters, tool.output_schema):
            jsonschema.Draft202012Validator.check_schema(schema)


def test_what_a_model_reads_of_the_tools_is_short(world: World) -> None:
    tools = build_tools(world.factory, _nobody)
    read = sum(len(tool.description) + len(json.dumps(tool.parameters)) for tool in tools)
    assert read < 700 * len(tools)  # some 175 tokens for each
    assert len(INSTRUCTIONS) < 2_000
