"""Which permission each tool needs: the one place where it is decided."""

from collections.abc import Mapping
from types import MappingProxyType

from domain.caller import Caller, Permission
from domain.errors import Verdict

TOOL_PERMISSIONS: Mapping[str, Permission] = MappingProxyType(
    {
        "whoami": Permission.READ,
        "list_recipes": Permission.READ,
        "list_recipe_categories": Permission.READ,
        "get_recipe": Permission.READ,
        "validate_recipe": Permission.READ,
        "customize_recipe": Permission.READ,
        "save_recipe": Permission.BUILD,
        "delete_recipe": Permission.BUILD,
        "create_build": Permission.BUILD,
        "list_builds": Permission.READ,
        "get_build_status": Permission.READ,
        "get_build_log": Permission.READ,
        "retry_build": Permission.BUILD,
        "cancel_build": Permission.BUILD,
        "delete_build": Permission.BUILD,
        "get_download_links": Permission.READ,
        "get_build_evidence": Permission.READ,
        "compare_builds": Permission.READ,
        "create_rebuild_schedule": Permission.BUILD,
        "list_rebuild_schedules": Permission.READ,
        "update_rebuild_schedule": Permission.BUILD,
        "delete_rebuild_schedule": Permission.BUILD,
        "run_verification": Permission.TEST,
        "list_test_runs": Permission.READ,
        "get_test_run": Permission.READ,
        "cancel_test_run": Permission.TEST,
        "create_test_suite": Permission.TEST,
        "list_test_suites": Permission.READ,
        "get_test_suite": Permission.READ,
        "update_test_suite": Permission.TEST,
        "update_test_suite_targets": Permission.TEST,
        "run_test_suite": Permission.TEST,
        "list_test_suite_runs": Permission.READ,
        "get_test_suite_status": Permission.READ,
        "create_vm": Permission.VM,
        "list_vms": Permission.READ,
        "get_vm": Permission.READ,
        "start_vm": Permission.VM,
        "stop_vm": Permission.VM,
        "restart_vm": Permission.VM,
        "extend_vm": Permission.VM,
        "delete_vm": Permission.VM,
        "snapshot_vm": Permission.VM,
        "restore_vm": Permission.VM,
        "list_snapshots": Permission.READ,
        "delete_snapshot": Permission.VM,
        "get_vm_screenshot": Permission.READ,
        "run_vm_command": Permission.VM,
        "get_console_link": Permission.VM,
        "create_image_upload": Permission.UPLOAD,
        "list_images": Permission.READ,
        "get_image": Permission.READ,
        "delete_image": Permission.UPLOAD,
    }
)


def allowed(caller: Caller, tool: str) -> bool:
    """Tell whether the caller may use the tool; a tool without a row is nobody's."""
    needed = TOOL_PERMISSIONS.get(tool)
    return needed is not None and needed in caller.permissions


def require(caller: Caller, tool: str) -> None:
    """Refuse a caller who may not use the tool.

    Raises:
        Verdict: `permission.denied`.

    """
    if allowed(caller, tool):
        return
    needed = TOOL_PERMISSIONS.get(tool)
    what = f"the permission '{needed}'" if needed else "a permission that nobody has"
    raise Verdict.because(
        "permission.denied",
        f"{tool} needs {what}, which this key does not have.",
        next="Call whoami to see what this key may do, or ask the organization's administrator for another one.",
    )
