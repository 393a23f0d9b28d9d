"""A guest's build whose time is over, on a running factory: its record stays, its files go, others' stay (`-m faults`).

The collection alone holds it to be later, as `keeping_ahead` says; all else is the product's and at the right time.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import httpx2
import psycopg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from cli.client.failures import ToolFailed
from cli.client.session import FactorySession
from cli.client.target import Target
from domain.keeping import GRACE
from domain.plan import plan_of
from tests.e2e.stack import until_ended
from tests.faults.factory import Laboratory, laboratory
from tests.faults.quick.orders import Orders
from tests.invariants import Witness, violations

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

DEADLINE = 120.0
A_LITTLE = timedelta(minutes=5)
EXPIRED = "build.artifacts_expired.v1"


class GuestSession(FactorySession):
    """Comes in by a guest's token instead of a key."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        assert self._http is not None
        del self._http.headers["Authorization"]
        self._http.headers["X-Guest-Id"] = self.target.key.get_secret_value()
        return self


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncGenerator[Laboratory]:
    with tempfile.TemporaryDirectory(prefix="of-expiry-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        async with laboratory(Path(folder) / "h") as running:
            # Only when the test says so: the schedule may come at any time.
            running.stack.temporal("schedule", "toggle", "--schedule-id", "collector", "--pause", "--reason", "test")
            yield running


class Built:
    """A build that is done, and the links to its files."""

    def __init__(self, view: dict[str, Any], links: Sequence[dict[str, Any]]) -> None:
        self.build_id: str = view["build_id"]
        self.links = links

    @property
    def objects(self) -> set[str]:
        """The keys of its published files."""
        return {f"blobs/{link['sha256']}" for link in self.links if link["kind"] != "history"}


async def built(session: FactorySession, name: str) -> Built:
    recipe = {"name": name, "baseImage": "debian-bookworm"}
    accepted = await session.call("create_build", {"recipe": recipe})
    view = await until_ended(session, accepted["build_id"], deadline=DEADLINE)
    assert view["status"] == "completed", json.dumps(view.get("failure"))
    links = (await session.call("get_download_links", {"build_id": view["build_id"]}))["links"]
    return Built(view, links)


def guest_session(lab: Laboratory) -> GuestSession:
    made = lab.stack.run("guest", "mint", "--json")
    assert made.returncode == 0, made.stderr
    return GuestSession(Target(url=lab.stack.url, key=SecretStr(json.loads(made.stdout)["token"])))


async def later(lab: Laboratory, after: timedelta) -> None:
    """Have the collection hold it to be so much later."""
    lab.order("core-worker", Orders(keeping_ahead=int(after.total_seconds())))
    await lab.restart("core-worker")


async def collected(lab: Laboratory, *words: str) -> dict[str, Any]:
    # In a thread: the proxy before the object store is this process's own.
    done = await asyncio.to_thread(lab.stack.run, "gc", "--json", *words, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


async def there(lab: Laboratory) -> set[str]:
    """The keys of all objects, asked of the store itself."""
    objects = Witness(lab.home).objects()
    try:
        return {info.key for info in await objects.list("")}
    finally:
        await objects.aclose()


async def answers(links: Sequence[dict[str, Any]]) -> set[int]:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return {(await http.get(link["url"])).status_code for link in links}


def expiries(lab: Laboratory, build_id: str) -> int:
    """How often the log says that the files of a build are over."""
    query = "SELECT count(*) FROM event_log.stored_events WHERE originator_id = %s AND topic = %s"
    with psycopg.connect(Witness(lab.home).database("postgres"), connect_timeout=5) as connection:
        row = connection.execute(query, (build_id, EXPIRED)).fetchone()
    assert row is not None
    return int(row[0])


async def test_what_a_guest_built_is_kept_for_its_days_and_then_goes_alone(lab: Laboratory) -> None:
    plan = plan_of("guest")
    assert plan.artifacts_days is not None
    assert plan.evidence_days is not None
    files_end, evidence_ends = timedelta(days=plan.artifacts_days), timedelta(days=plan.evidence_days)
    async with lab.stack.session() as operator, guest_session(lab) as guest:
        ours, theirs = await built(operator, "operators"), await built(guest, "guests")
        only_theirs = theirs.objects - ours.objects
        images = [link for link in theirs.links if link["kind"] in {"qcow2", "iso"}]
        assert {f"blobs/{link['sha256']}" for link in images} <= only_theirs

        await later(lab, max(files_end, GRACE) - A_LITTLE)
        assert (await collected(lab))["expired"] == []
        assert await answers((*ours.links, *theirs.links)) == {200}

        await later(lab, max(files_end, GRACE) + A_LITTLE)
        told = (await collected(lab, "--dry-run"))["expired"]
        assert [build["build_id"] for build in told] == [theirs.build_id]
        assert expiries(lab, theirs.build_id) == 0
        assert await answers(theirs.links) == {200}

        assert (await collected(lab))["expired"] == told
        assert (expiries(lab, theirs.build_id), expiries(lab, ours.build_id)) == (1, 0)
        kept = await there(lab)
        assert not only_theirs & kept
        assert ours.objects <= kept
        assert await answers(theirs.links) == {410}
        assert await answers(ours.links) == {200}
        with pytest.raises(ToolFailed, match=r"build\.expired"):
            await guest.call("get_download_links", {"build_id": theirs.build_id})
        view = await guest.call("get_build_status", {"build_id": theirs.build_id})
        assert (view["status"], "no longer kept" in view["next"]) == ("completed", True)
        assert (await guest.call("get_build_log", {"build_id": theirs.build_id}))["lines"]
        assert (await collected(lab))["expired"] == []

        logs = f"logs/{theirs.build_id}/"
        assert any(key.startswith(logs) for key in kept)
        await later(lab, evidence_ends + A_LITTLE)
        assert (await collected(lab))["expired"] == []
        kept = await there(lab)
        assert not any(key.startswith(logs) for key in kept)
        assert any(key.startswith(f"logs/{ours.build_id}/") for key in kept)
        assert ours.objects <= kept
    lab.countermand("core-worker")
    await lab.restart("core-worker")
    assert expiries(lab, theirs.build_id) == 1
    assert await violations(Witness(lab.home), [ours.build_id, theirs.build_id]) == []
