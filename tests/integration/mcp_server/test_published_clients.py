"""Clients that others publish, connected to the factory as their users connect them: MCP Inspector, Claude Code.

They are programs for Node.js, fetched by npm at the first run and kept below `.venv`. Run with `-m clients`; with
OPENFACTORY_TEST_URL and OPENFACTORY_TEST_KEY set against a factory that runs, else against a front of its own.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from domain.client_setup import ClientName, client_setup
from tests.integration.front_stack import FrontStack

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]

INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"
CLAUDE_CODE = "@anthropic-ai/claude-code@2.1.197"
TRANSPORTS = {"http": "/mcp-stream/mcp", "sse": "/mcp/sse"}


class Running(NamedTuple):
    """A factory that runs, and a key to it."""

    url: str
    key: str


@pytest.fixture(scope="session")
def factory(request: pytest.FixtureRequest) -> Running:
    """Return the factory that the clients are connected to."""
    url = os.environ.get("OPENFACTORY_TEST_URL")
    if url is not None:
        return Running(url.rstrip("/"), os.environ["OPENFACTORY_TEST_KEY"])
    stack: FrontStack = request.getfixturevalue("front_stack")
    return Running(stack.url, stack.secrets.operator_key())


def installed(package: str, program: str) -> Path:
    """Return a program of a package, which npm fetches at the first run."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("Node.js with npm is not installed: apt-get install nodejs npm", pytrace=False)
    folder = Path(sys.prefix) / "published-clients" / package.strip("@").replace("/", "-")
    found = folder / "node_modules" / ".bin" / program
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        argv = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error", package]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"npm could not install {package}. Is there a network?\n{done.stderr[-1000:]}", pytrace=False)
        (folder / "complete").touch()
    return found


def inspect(factory: Running, transport: str, *words: str) -> dict[str, Any]:
    """Ask one thing by the Inspector's command line."""
    program = installed(INSPECTOR, "mcp-inspector")
    argv = [
        *(str(program), "--cli", factory.url + TRANSPORTS[transport], "--transport", transport),
        *("--header", f"Authorization: Bearer {factory.key}", *words),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_inspector_lists_and_calls_tools_and_reads_resources_and_prompts(factory: Running, transport: str) -> None:
    tools = {tool["name"] for tool in inspect(factory, transport, "--method", "tools/list")["tools"]}
    assert {"create_build", "get_build_status", "create_vm", "run_test_suite"} <= tools
    called = inspect(
        factory, transport, "--method", "tools/call", "--tool-name", "get_recipe", "--tool-arg", "name=demo"
    )
    assert called["structuredContent"]["recipe"]["name"] == "demo"
    resources = inspect(factory, transport, "--method", "resources/list")["resources"]
    assert "recipe://demo" in {resource["uri"] for resource in resources}
    read = inspect(factory, transport, "--method", "resources/read", "--uri", "recipe://demo")
    assert json.loads(read["contents"][0]["text"])["recipe"]["name"] == "demo"
    prompts = {prompt["name"] for prompt in inspect(factory, transport, "--method", "prompts/list")["prompts"]}
    assert "summarize_builds" in prompts


def test_claude_code_connects_by_the_configuration_that_the_factory_prints(factory: Running, tmp_path: Path) -> None:
    claude = installed(CLAUDE_CODE, "claude")
    # As a user pastes it; the program is the one that was just installed, with a home of its own.
    words = client_setup(ClientName.CLAUDE_CODE, factory.url, factory.key).snippet
    environ = {"PATH": f"{claude.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "DISABLE_AUTOUPDATER": "1"}
    added = subprocess.run(["sh", "-c", words], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert added.returncode == 0, added.stdout + added.stderr
    listed = subprocess.run(
        [claude, "mcp", "list"], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    [line] = [line for line in listed.stdout.splitlines() if line.startswith("openfactory")]
    assert "Connected" in line, line
