"""A suite that is written before any image exists, bound later, and run on two machines at once."""

import asyncio
import json
from typing import Any
from xml.etree import ElementTree as ET

import httpx2
import pytest

from cli.client.session import FactorySession
from tests.e2e.stack import RUN_SECONDS, Stack, until_ended, until_run
from tests.invariants import assert_nothing_left

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

SERVER = """use IO::Socket::IP;
my $s = IO::Socket::IP->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die;
while (my $c = $s->accept) {
    while (<$c>) { last if /^\\r?$/ }
    print $c "HTTP/1.0 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nhello\\n"; close $c;
}
"""
SUITE: dict[str, Any] = {
    "name": "pair",
    "slots": [{"name": "primary"}, {"name": "client"}],
    "parameters": [{"name": "port", "default": 8080}],
    "setup": [
        {"action": "put_file", "slot": "primary", "path": "/srv/web.pl", "text": SERVER},
        {"action": "command", "slot": "primary", "command": "systemd-run --unit=web perl /srv/web.pl"},
    ],
    "cases": [
        {
            "name": "the client is served",
            "slot": "client",
            "steps": [
                {"type": "ping_reaches", "params": {"host": "${slot:primary}"}},
                {
                    "type": "http_responds",
                    "params": {"url": "http://${slot:primary}:${param:port}/", "contains": "hello"},
                },
            ],
        },
        {
            "name": "nobody serves another port",
            "slot": "client",
            "steps": [{"type": "http_responds", "params": {"url": "http://${slot:primary}:8099/"}}],
        },
    ],
}


@pytest.fixture
async def build_id(session: FactorySession) -> str:
    """Find a completed build, or make one."""
    done = (await session.call("list_builds", {"status": "completed", "limit": 1}))["builds"]
    if done:
        return str(done[0]["build_id"])
    recipe = {"name": "target", "baseImage": "debian-bookworm"}
    accepted = await session.call("create_build", {"recipe": recipe})
    ended = await until_ended(session, accepted["build_id"], deadline=RUN_SECONDS)
    assert ended["status"] == "completed", ended["failure"]
    return str(accepted["build_id"])


async def test_a_suite_is_written_first_bound_later_and_tells_the_case_that_fails(
    stack: Stack, session: FactorySession, build_id: str
) -> None:
    suite = await session.call("create_test_suite", {"suite": SUITE, "request_key": "pair"})
    suite_id = suite["suite_id"]
    status = await session.call("get_test_suite_status", {"suite_id": suite_id})
    assert status["readiness"]["ready"] is False
    targets = {"primary": build_id, "client": build_id}
    bound = await session.call("update_test_suite_targets", {"suite_id": suite_id, "targets": targets})
    assert bound["readiness"]["ready"] is True, bound
    run = await session.call("run_test_suite", {"suite_id": suite_id})
    ended = await until_run(session, run["run_id"])
    assert ended["status"] == "failed", ended
    cases = {case["name"]: case for case in ended["cases"]}
    assert cases["the client is served"]["status"] == "passed", ended
    assert cases["nobody serves another port"]["status"] == "failed"
    assert "refused" in json.dumps(cases["nobody serves another port"])
    await _reports_say_so(ended)
    await asyncio.to_thread(assert_nothing_left, stack.home)
    vms = (await session.call("list_vms", {}))["vms"]
    assert not vms, vms


async def _reports_say_so(run: dict[str, Any]) -> None:
    links = {file["name"]: file["url"] for file in run["files"]}
    async with httpx2.AsyncClient(timeout=60) as http:
        junit = ET.fromstring((await http.get(links["junit.xml"])).text)  # noqa: S314 - the factory wrote it
        page = (await http.get(links["report.html"])).text
    suites = junit.iter("testsuite")
    assert sum(int(s.get("failures", "0")) for s in suites) == 1
    assert "nobody serves another port" in page
