"""Room on the disks of a running factory: what goes to make some, and who waits for it (`-m faults`)."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr

from cli.client.failures import ClientFailure
from cli.client.session import FactorySession
from cli.client.target import Target
from tests.e2e.stack import until_ended
from tests.faults.factory import Laboratory, laboratory
from tests.faults.quick.orders import Orders
from tests.invariants import Witness, violations

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

MIB = 1 << 20
HOUR = 3600
DEADLINE = 120.0
BELOW_THE_WATERMARK = 40 * MIB  # a tenth of the laboratory's disk is kept free


class GuestSession(FactorySession):
    """A client with a guest's token instead of a key."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        assert self._http is not None
        del self._http.headers["Authorization"]
        self._http.headers["X-Guest-Id"] = self.target.key.get_secret_value()
        return self


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


async def collected(lab: Laboratory, *options: str) -> dict[str, Any]:
    done = await asyncio.to_thread(lab.stack.run, "gc", "--json", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def kept(lab: Laboratory, *prefixes: str) -> list[str]:
    objects = Witness(lab.home).objects()
    try:
        return [info.key for prefix in prefixes for info in await objects.list(prefix)]
    finally:
        await objects.aclose()


async def later(lab: Laboratory, hours: int) -> None:
    lab.order("core-worker", Orders(keeping_ahead=hours * HOUR))
    await lab.restart("core-worker")


async def test_a_guests_build_expires_and_its_files_go_and_nobody_elses(lab: Laboratory) -> None:
    made = await asyncio.to_thread(httpx2.post, f"{lab.stack.url}/guest", trust_env=False)
    token = made.json()["token"]
    try:
        async with GuestSession(Target(url=lab.stack.url, key=SecretStr(token))) as guest, lab.stack.session() as own:
            theirs, ours = await built(guest, "of-a-guest"), await built(own, "of-the-operator")
            which = {"build_id": theirs["build_id"]}
            links = (await guest.call("get_download_links", which))["links"]
            blobs = {f"blobs/{link['sha256']}" for link in links}
            assert len(blobs) > 1
            assert blobs <= set(await kept(lab, "blobs/"))
            assert (await collected(lab))["expired"] == []  # its day is not over

            await later(lab, 25)
            told = await collected(lab, "--dry-run")
            assert theirs["build_id"] in {build["build_id"] for build in told["expired"]}
            assert blobs <= set(await kept(lab, "blobs/"))
            went = await collected(lab)
            assert went["bytes"] == told["bytes"] > 0
            assert not blobs & set(await kept(lab, "blobs/"))
            assert (await guest.call("get_build_status", which))["status"] == "completed"
            with pytest.raises(ClientFailure, match="no longer kept"):
                await guest.call("get_download_links", which)
            gone = await asyncio.to_thread(httpx2.get, links[0]["url"], trust_env=False)
            assert gone.status_code == 410
            assert (await collected(lab))["expired"] == []

            traces = (f"logs/{theirs['build_id']}", f"evidence/{theirs['build_id']}")
            assert await kept(lab, *traces)
            await later(lab, 8 * 24)
            await collected(lab)
            assert await kept(lab, *traces) == []
            assert (await guest.call("get_build_log", which))["lines"] == []
            assert len((await own.call("get_download_links", {"build_id": ours["build_id"]}))["links"]) > 1
    finally:
        lab.countermand("core-worker")
        await lab.restart("core-worker")
    assert await violations(Witness(lab.home), [theirs["build_id"], ours["build_id"]]) == []
