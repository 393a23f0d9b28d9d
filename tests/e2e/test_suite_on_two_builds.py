"""A suite written before any image, run on two different builds, then with one service broken (`-m templates`)."""

import asyncio
import json
from typing import Any
from xml.etree import ElementTree as ET

import httpx2
import pytest

from cli.client.session import FactorySession
from tests.e2e.stack import Stack, until_ended, until_run
from tests.invariants import assert_nothing_left

pytestmark = [pytest.mark.templates, pytest.mark.timeout(5400)]

BUILD_SECONDS = 2300.0
SERVER: dict[str, Any] = {
    "name": "server",
    "baseImage": "debian-bookworm",
    "packages": ["nginx"],
    "services": [{"name": "nginx"}],
}
# A fine client. As a server it is broken, which its own tests do not mind: it is as its recipe says.
CLIENT = {**SERVER, "name": "client", "services": [{"name": "nginx", "enabled": False}]}

SUITE: dict[str, Any] = {
    "name": "web-pair",
    "slots": [{"name": "server"}, {"name": "client"}],
    "predefined": ["network"],
    "cases": [
        {
            "name": "nginx runs on the server",
            "slot": "server",
            "steps": [{"type": "service_running", "params": {"service": "nginx"}}],
        },
        {
            "name": "the client finds the server",
            "slot": "client",
            "steps": [{"type": "ping_reaches", "params": {"host": "${slot:server}"}}],
        },
        {
            "name": "the client gets the page",
            "slot": "client",
            "steps": [
                {"type": "http_responds", "params": {"url": "http://${slot:server}/", "contains": "nginx"}},
                {"action": "get_file", "slot": "server", "path": "/var/log/nginx/access.log"},
            ],
        },
    ],
}
WRONG = {"nginx runs on the server", "the client gets the page"}


async def test_a_suite_written_first_is_green_on_two_builds_and_red_in_the_right_words_when_a_service_is_broken(
    stack: Stack, session: FactorySession
) -> None:
    suite = await session.call("create_test_suite", {"suite": SUITE})
    assert suite["readiness"]["unbound"] == ["server", "client"]
    server, client = await _built(session, SERVER), await _built(session, CLIENT)

    bound = await _bound(session, suite["suite_id"], server=server, client=client)
    assert bound["readiness"] == {**bound["readiness"], "ready": True, "warnings": []}
    green = await _run(session, suite["suite_id"])
    assert (green["status"], {case["status"] for case in green["cases"]}) == ("passed", {"passed"}), green
    assert '"GET / HTTP' in await _file(green, "access.log")

    bound = await _bound(session, suite["suite_id"], server=client, client=server)
    assert "its recipe disables `nginx`" in json.dumps(bound["readiness"]["warnings"])  # told before anything runs
    red = await _run(session, suite["suite_id"])
    cases = {case["name"]: case for case in red["cases"]}
    assert red["status"] == "failed", red
    assert {name for name, case in cases.items() if case["status"] == "failed"} == WRONG, red
    assert cases["the client finds the server"]["status"] == "passed"  # the machine is well; its service is not
    for words in (json.dumps(cases), await _details(stack, red["run_id"]), await _file(red, "report.html")):
        assert all(said in words for said in (*WRONG, "inactive", "refused")), words
    _junit_says_so(await _file(red, "junit.xml"))
    changes = {change["name"]: change["change"] for change in red["comparison"]["changes"]}
    assert changes == dict.fromkeys(WRONG, "newly_failing")
    await asyncio.to_thread(assert_nothing_left, stack.home)


async def _built(session: FactorySession, recipe: dict[str, Any]) -> str:
    build = await session.call("create_build", {"recipe": recipe})
    view = await until_ended(session, build["build_id"], deadline=BUILD_SECONDS)
    assert view["status"] == "completed", view["failure"]
    return str(build["build_id"])


async def _bound(session: FactorySession, suite_id: str, **targets: str) -> dict[str, Any]:
    return await session.call("update_test_suite_targets", {"suite_id": suite_id, "targets": targets})


async def _run(session: FactorySession, suite_id: str) -> dict[str, Any]:
    run = await session.call("run_test_suite", {"suite_id": suite_id})
    return await until_run(session, run["run_id"])


async def _details(stack: Stack, run_id: str) -> str:
    """What the Temporal UI shows of the run without a log being opened."""
    words = ("workflow", "metadata", "--workflow-id", f"test-run-{run_id}", "--output", "json")
    told = await asyncio.to_thread(stack.temporal, *words)
    return str(json.loads(told.stdout)["queryResult"][0]["currentDetails"])


async def _file(run: dict[str, Any], ending: str) -> str:
    url = next(file["url"] for file in run["files"] if file["name"].endswith(ending))
    async with httpx2.AsyncClient(timeout=60) as http:
        answer = await http.get(url)
    assert answer.status_code == 200
    return answer.text


def _junit_says_so(text: str) -> None:
    cases = {case.get("name"): case for case in ET.fromstring(text).iter("testcase")}  # noqa: S314 - the factory wrote it
    failures = {name: case.find("failure") for name, case in cases.items()}
    assert {name for name, failure in failures.items() if failure is not None} == WRONG
    for name, word in (("nginx runs on the server", "inactive"), ("the client gets the page", "refused")):
        failure = failures[name]
        assert failure is not None
        assert word in f"{failure.get('message')} {failure.text}"
