"""Figures and untrusted texts as a person reads them."""

import re

from rich.text import Text

from domain.errors import Problem
from domain.text import clean_untrusted
from domain.views import QueueView

_LONGEST = 4000  # characters of one text
_KIB = 1024
_MINUTE = 60
_HOUR = 3600

_COMMANDS = {
    "create_build": "build",
    "list_builds": "builds",
    "get_build_status": "build-show",
    "get_build_log": "logs",
    "retry_build": "retry",
    "cancel_build": "cancel",
    "validate_recipe": "validate",
    "list_recipes": "recipes",
    "list_recipe_categories": "recipes",
    "get_recipe": "recipes",
    "customize_recipe": "customize",
    "save_recipe": "recipe-save",
    "delete_recipe": "recipe-delete",
    "get_download_links": "download",
    "get_build_evidence": "evidence",
    "compare_builds": "compare",
    "create_image_upload": "image upload",
    "list_images": "image list",
    "get_image": "image show",
    "delete_image": "image delete",
    "create_vm": "vm create",
    "list_vms": "vm list",
    "get_vm_screenshot": "vm screenshot",
    "get_vm": "vm show",
    "start_vm": "vm start",
    "stop_vm": "vm stop",
    "restart_vm": "vm restart",
    "extend_vm": "vm extend",
    "delete_vm": "vm delete",
    "get_console_link": "vm console",
    "snapshot_vm": "vm snapshot",
    "restore_vm": "vm restore",
    "list_snapshots": "vm snapshots",
    "delete_snapshot": "vm drop-snapshot",
    "run_vm_command": "vm run",
    "create_rebuild_schedule": "rebuild schedule",
    "list_rebuild_schedules": "rebuild list",
    "update_rebuild_schedule": "rebuild update",
    "delete_rebuild_schedule": "rebuild delete",
    "run_verification": "test-run verify",
    "list_test_runs": "test-run list",
    "get_test_run": "test-run show",
    "cancel_test_run": "test-run cancel",
    "create_test_suite": "suite create",
    "list_test_suites": "suite list",
    "get_test_suite": "suite show",
    "update_test_suite": "suite update",
    "update_test_suite_targets": "suite bind",
    "run_test_suite": "suite run",
    "list_test_suite_runs": "suite runs",
    "get_test_suite_status": "suite status",
}
_TOOL = re.compile(rf"\b({'|'.join(_COMMANDS)})\b")

STATUS_STYLE: dict[str, str] = {
    "pending": "dim",
    "running": "cyan",
    "building": "cyan",
    "testing": "cyan",
    "completed": "green",
    "verified": "green",
    "unverified": "yellow",
    "cancelled": "yellow",
    "failed": "red",
    "deleted": "dim",
}


def plain(text: str | None, style: str = "") -> Text:
    """Make `text` safe to print: without control characters, of bounded length, and never read as markup."""
    return Text(clean_untrusted(text or "", _LONGEST), style=style)


def size(count: float) -> str:
    """Say a number of bytes: `1.4 GiB`."""
    if count < _KIB:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= _KIB
        if count < _KIB:
            return f"{count:.1f} {unit}"
    return f"{count / _KIB:.1f} TiB"


def duration(seconds: float | None) -> str:
    """Say a number of seconds: `0.3 s`, `42 s`, `3 min 05 s`, `1 h 02 min`; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 10:  # noqa: PLR2004 - below ten a tenth matters
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"


def step_title(step: str) -> str:
    """Name a step for people: `base_layer` is `base layer`."""
    return step.replace("_", " ")


def as_commands(text: str) -> str:
    """Put this program's commands where the factory, which talks to assistants, names its tools."""
    return _TOOL.sub(lambda match: f"`openfactory {_COMMANDS[match.group()]}`", text)


def problem_text(problem: Problem, mark: str = "✗") -> Text:
    """Say one problem: what, where, the likely meaning, and what to do next."""
    text = Text()
    text.append(f"{mark} ", style="bold red")
    text.append_text(plain(problem.message))
    text.append_text(plain(f"  [{problem.code}]", "dim"))
    if problem.path:
        where = problem.path if problem.value is None else f"{problem.path} = {problem.value!r}"
        text.append("\n    where: ").append_text(plain(where, "bold"))
    if problem.suggestions:
        text.append("\n    did you mean: ").append_text(plain(", ".join(problem.suggestions), "bold green"))
    if problem.next:
        text.append("\n    next: ").append_text(plain(as_commands(problem.next)))
    return text


def place_text(queue: QueueView) -> str:
    """Say where a build stands that waits for its turn."""
    start = f", expected start {queue.expected_start.astimezone():%H:%M}" if queue.expected_start else ""
    return f"place {queue.position} in the queue{start}"
