"""The factory's tools as a client sees them, answering from lists that a test fills."""

from collections.abc import Mapping
from typing import Any

from cli.client.failures import ClientFailure

BUILD_ID = "5d1c3f0e-8a51-4a3c-9d55-0b6f0e2a7c11"

Answer = dict[str, Any] | ClientFailure


class FakeTools:
    """Gives each tool's answers in turn, the last one for ever; remembers what it was asked."""

    def __init__(self, **answers: list[Answer] | Answer) -> None:
        self._answers = {tool: list(a) if isinstance(a, list) else [a] for tool, a in answers.items()}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append((tool, {k: v for k, v in arguments.items() if v is not None}))
        answers = self._answers[tool]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, ClientFailure):
            raise answer
        return answer


def build_view(**changes: object) -> dict[str, Any]:
    """Make the view of a build as the tools answer it."""
    view: dict[str, Any] = {
        "build_id": BUILD_ID,
        "workflow_id": f"build-{BUILD_ID}",
        "name": "demo",
        "status": "building",
        "version": 3,
        "created_at": "2026-11-22T10:00:00Z",
        "updated_at": "2026-11-22T10:01:00Z",
        "base_image": "debian-bookworm",
        "steps": [step("resolve", "completed", seconds=4.2, summary="212 packages"), step("base_layer", "running")],
        "progress": {"percent": 12.0, "step": "base_layer", "text": "unpacking", "elapsed_seconds": 20.0},
    }
    return view | changes


def step(name: str, status: str, **changes: object) -> dict[str, Any]:
    """Make one step of a view."""
    return {"step": name, "status": status, "started_at": "2026-11-22T10:00:00Z", **changes}


def completed_view() -> dict[str, Any]:
    """Make the view of a build that is done and verified."""
    return build_view(
        status="completed",
        version=20,
        steps=[step("resolve", "completed", seconds=4.2, cached=True), step("boot", "completed", seconds=61.0)],
        progress={"percent": 100.0, "elapsed_seconds": 185.0},
        reports=[report("qcow2", "uefi", passed=31, failed=0)],
        artifacts=[
            {
                "kind": "qcow2",
                "name": "demo.qcow2",
                "blob": {"digest": "ab" * 32, "bytes": 400 * 1024 * 1024},
                "verification": "verified",
                "method": "UEFI, 31 assertions",
            },
            {
                "kind": "iso",
                "name": "demo.iso",
                "blob": {"digest": "cd" * 32, "bytes": 450 * 1024 * 1024},
                "verification": "unverified",
            },
        ],
        next="Call get_download_links for the images and their evidence.",
    )


def failed_view(kind: str = "verdict") -> dict[str, Any]:
    """Make the view of a build that is parked because an assertion does not hold."""
    return build_view(
        status="failed",
        version=18,
        steps=[step("resolve", "completed", seconds=4.2), step("verify", "failed", seconds=12.0)],
        reports=[report("qcow2", "uefi", passed=30, failed=1, results=[failed_result()])],
        failure={
            "step": "verify",
            "kind": kind,
            "problems": [
                {
                    "code": "verify.failed",
                    "message": "1 assertion does not hold on the qcow2.",
                    "path": "tests[0].assertions[1]",
                    "suggestions": ["nginx"],
                    "next": "Read get_build_log.",
                }
            ],
            "retryable": True,
            "retry_until": "2026-11-29T10:00:00Z",
        },
    )


def report(artifact: str, firmware: str, **changes: object) -> dict[str, Any]:
    """Make the report on one artifact."""
    return {
        "artifact": artifact,
        "firmware": firmware,
        "accelerator": "tcg",
        "boot_seconds": 33.0,
        "results": [],
        **changes,
    }


def failed_result() -> dict[str, Any]:
    """Make an assertion that does not hold; what was found tries to steer the terminal."""
    return {
        "suite": "recipe",
        "description": "the web server runs",
        "type": "service_running",
        "params": {"service": "nginx"},
        "passed": False,
        "expected": "active",
        "found": "inactive\x1b]0;owned\x07\x1b[2J [red]not markup[/red]",
        "command": "systemctl is-active nginx",
    }
