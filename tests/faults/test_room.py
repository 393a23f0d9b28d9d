"""Room on the disks of a running factory: what goes to make some, and who waits for it (`-m faults`)."""

import json
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cli.client.session import FactorySession
from tests.e2e.stack import until_ended
from tests.faults.factory import Laboratory, laboratory
from tests.invariants import Witness, violations

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

MIB = 1 << 20
HOUR = 3600
DEADLINE = 120.0
BELOW_THE_WATERMARK = 40 * MIB  # a tenth of the laboratory's disk is kept free


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncGenerator[Laboratory]:
    with tempfile.TemporaryDirectory(prefix="of-room-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        async with laboratory(Path(folder) / "h") as lab:
            yield lab


@pytest.fixture
def lab(running: Laboratory) -> Generator[Laboratory]:
    yield running
    running.free("host")


async def built(session: FactorySession, name: str) -> dict[str, Any]:
    recipe = {"name": name, "baseImage": "debian-bookworm"}
    accepted = await session.call("create_build", {"recipe": recipe})
    return await until_ended(session, accepted["build_id"], deadline=DEADLINE)


def unwanted(lab: Laboratory, *, hours: float) -> Path:
    """Put a layer into the store that nobody has looked for in a while."""
    layer = lab.home / "store" / "ab" / ("ab" * 32)
    layer.parent.mkdir(parents=True, exist_ok=True)
    with layer.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 620 * MIB)
    moment = time.time() - hours * HOUR
    os.utime(layer, (moment, moment))
    return layer


async def test_below_the_watermark_a_build_parks_and_says_why_and_goes_on_when_there_is_room(lab: Laboratory) -> None:
    async with lab.stack.session() as session:
        lab.fill("host", leave=BELOW_THE_WATERMARK)
        parked = await built(session, "no-room")
        assert parked["status"] == "failed", parked
        [problem] = parked["failure"]["problems"]
        assert problem["code"] == "disk.low"
        assert "openfactory gc" in problem["next"]
        assert parked["failure"]["kind"] == "fault"
        lab.free("host")
        await session.call("retry_build", {"build_id": parked["build_id"]})
        await session.call("get_build_status", {"build_id": parked["build_id"]})
        done = await until_ended(session, parked["build_id"], deadline=DEADLINE)
        assert done["status"] == "completed", json.dumps(done.get("failure"))
    assert await violations(Witness(lab.home), [parked["build_id"]]) == []


async def test_a_build_that_finds_the_disk_low_makes_room_of_what_nobody_wanted(lab: Laboratory) -> None:
    layer = unwanted(lab, hours=2)
    lab.fill("host", leave=BELOW_THE_WATERMARK)
    async with lab.stack.session() as session:
        done = await built(session, "makes-room")
    assert done["status"] == "completed", json.dumps(done.get("failure"))
    assert not layer.exists()
    assert await violations(Witness(lab.home), [done["build_id"]]) == []
