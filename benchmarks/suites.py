"""A suite of two machines against two QEMUs started by hand side by side, with the same image, firmware and sizes."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from activities.verification.programs import text_of
from benchmarks.bare_qemu import GATEWAY, booted
from benchmarks.measure import Line, median_ratio
from benchmarks.vms import CPUS, MEMORY, upload
from cli.client.session import FactorySession
from tests.e2e.stack import Stack, until_run

_PAIRS = 3
_SLOTS = ("server", "client")


async def two_machines(stack: Stack, session: FactorySession, image: Path) -> list[Line]:
    """From `run_test_suite` to both guests being ready, and to the verdict with its report written.

    Both against the later one of two agents' first answers, and the verdict also against that and the suite's
    questions put by hand.
    """
    suite_id = await _suite(session, await upload(stack, image))
    whole: list[tuple[float, float]] = []
    asked: list[tuple[float, float]] = []
    ready: list[tuple[float, float]] = []
    for _ in range(_PAIRS):
        bare, answered = await _side_by_side(image)
        began = time.monotonic()
        run = await session.call("run_test_suite", {"suite_id": suite_id})
        ended = await until_run(session, run["run_id"])
        took = time.monotonic() - began
        whole.append((took, bare))
        asked.append((took, answered))
        if ended["status"] != "passed":
            raise RuntimeError(json.dumps(ended))
        ready.append((max(machine["ready_seconds"] for machine in ended["machines"]), bare))
    return [
        median_ratio("a suite of two machines until both are ready, against two QEMUs by hand", ready, ""),
        median_ratio("a suite of two machines until its verdict, against two QEMUs by hand", whole, "≤ 1.10"),
        median_ratio("the same, against two QEMUs that are asked the same by hand", asked, ""),
    ]


async def _suite(session: FactorySession, image_id: str) -> str:
    """Define it: each machine is asked something, and one reaches the other by its name."""
    suite: dict[str, Any] = {
        "name": "bench-pair",
        "slots": [{"name": name, "memory": MEMORY, "cpus": CPUS} for name in _SLOTS],
        "cases": [
            {
                "name": "they reach each other",
                "slot": "client",
                "steps": [
                    {"type": "file_exists", "slot": "server", "params": {"path": "/etc/passwd"}},
                    {"type": "ping_reaches", "params": {"host": "${slot:server}"}},
                ],
            }
        ],
    }
    made = await session.call("create_test_suite", {"suite": suite})
    targets = dict.fromkeys(_SLOTS, f"image:{image_id}")
    await session.call("update_test_suite_targets", {"suite_id": made["suite_id"], "targets": targets})
    return str(made["suite_id"])


async def _side_by_side(image: Path) -> tuple[float, float]:
    """Boot as many at once; answers the seconds until the last of them answered, and until each was asked its question.

    By hand there is no network between them: the one that is to reach the other reaches its gateway.
    """
    async with AsyncExitStack() as stack:
        boots = [stack.enter_async_context(booted(image, memory=MEMORY, cpus=CPUS, cards=2)) for _ in _SLOTS]
        server, client = await asyncio.gather(*boots)
        up = max(server.seconds, client.seconds)
        began = time.monotonic()
        await server.run("test", "-e", "/etc/passwd")
        await client.run("perl", "-we", text_of("ping.pl"), "--", GATEWAY, "10")
        return up, up + time.monotonic() - began
