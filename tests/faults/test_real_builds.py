"""A build goes on while each server and process under it is killed (`-m faults`)."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cli.client.failures import ClientFailure
from cli.client.session import FactorySession
from tests.e2e.stack import Stack
from tests.invariants import Witness, violations

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1500)]

BUILD_SECONDS = 1200.0
SERVERS = ("temporal", "postgres", "s3")
PROCESSES = ("core-worker", "projector", "mcp", "gateway", "libvirt")


async def test_a_build_survives_every_server_being_killed_in_its_layers(stack: Stack, session: FactorySession) -> None:
    accepted = await session.call(
        "create_build", {"recipe": {"name": "servers", "baseImage": "debian-bookworm", "packages": ["busybox"]}}
    )
    await _survives(stack, session, accepted["build_id"], {"package_layer": SERVERS, "assemble": SERVERS})


async def test_a_build_survives_every_process_of_the_factory_being_killed(
    stack: Stack, session: FactorySession
) -> None:
    accepted = await session.call(
        "create_build", {"recipe": {"name": "processes", "baseImage": "debian-bookworm", "packages": ["busybox"]}}
    )
    await _survives(
        stack, session, accepted["build_id"], {"package_layer": PROCESSES[:4], "boot": PROCESSES, "publish": SERVERS}
    )


async def _survives(stack: Stack, session: FactorySession, build_id: str, kills: dict[str, Sequence[str]]) -> None:
    for step, parts in kills.items():
        await _until(session, build_id, lambda view, step=step: any(s["step"] == step for s in view.get("steps", ())))
        for part in parts:
            stack.kill(part)
            stack.pid(part)  # ready again
    view = await _until(session, build_id, lambda view: view["status"] in ("completed", "failed", "cancelled"))
    assert view["status"] == "completed", view
    states = {a["kind"]: a["verification"] for a in view["artifacts"] if a["kind"] in ("qcow2", "iso")}
    assert states == {"qcow2": "verified", "iso": "verified"}
    assert await violations(Witness(stack.home), [build_id]) == []
    assert await _until(session, build_id, lambda view: view["visible"]) == view


async def _until(session: FactorySession, build_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask until it holds, as a client does whose calls fail now and then; only what may be retried is."""
    seen: object = None
    deadline = time.monotonic() + BUILD_SECONDS
    while time.monotonic() < deadline:
        try:
            view = await session.call("get_build_status", {"build_id": build_id, "wait_s": 5})
        except ClientFailure as failure:
            if not all(problem.retryable for problem in failure.problems):
                raise
            seen = failure
            await asyncio.sleep(0.5)
            continue
        if holds(view):
            return view
        if view["status"] in ("failed", "cancelled"):
            raise AssertionError(json.dumps(view))
        seen = view
    raise AssertionError(f"it did not come to hold within {BUILD_SECONDS} s: {seen}")
