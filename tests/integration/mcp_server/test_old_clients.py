"""The official SDK as it was: an early and a late release of its first line, each in an environment of its own.

An environment is made once from a lock with hashes, and kept inside the one that runs the tests. pip makes it, as
that reads what this machine says of its package index.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.front_stack import FrontStack

pytestmark = pytest.mark.integration

LOCKS = Path(__file__).parent / "locks"
EARLY, LATE = "mcp-1.1.3", "mcp-1.30.0"
# Not a module: it is written for an SDK that the rest of the tests does not have.
CLIENT = """
import asyncio, json, os, sys
from mcp import ClientSession

async def main(kind, url):
    if kind == "sse":
        from mcp.client.sse import sse_client as connect
    else:
        from mcp.client.streamable_http import streamablehttp_client as connect
    async with connect(url, headers={"Authorization": "Bearer " + os.environ["FACTORY_KEY"]}) as streams:
        async with ClientSession(streams[0], streams[1]) as session:
            hello = await session.initialize()
            tools = await session.list_tools()
            me = await session.call_tool("whoami", {})
            recipe = await session.call_tool("get_recipe", {"name": "demo"})
            wrong = await session.call_tool("get_build_status", {"build_id": "nope"})
            templates = await session.list_resources()
            prompts = await session.list_prompts()
            print(json.dumps({
                "version": str(hello.protocolVersion),
                "tools": [tool.name for tool in tools.tools],
                "me": me.content[0].text,
                "blocks": [block.type for block in recipe.content],
                "refused": [bool(wrong.isError), wrong.content[0].text],
                "resources": [str(resource.uri) for resource in templates.resources],
                "prompts": [prompt.name for prompt in prompts.prompts],
            }))

asyncio.run(main(*sys.argv[1:]))
"""


def environment(name: str) -> Path:
    """Return the interpreter of the environment of a lock; made at the first use."""
    lock = LOCKS / f"{name}.lock"
    folder = Path(sys.prefix) / "old-clients" / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        _run(sys.executable, "-m", "venv", "--clear", "--without-pip", folder)
        pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--quiet")
        _run(*pip, "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", lock)
        (folder / "complete").touch()
    return python


def _run(*argv: str | Path) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{argv[-1]}: the client could not be installed. Is there a network?\n{done.stderr[-1000:]}", False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("sdk", "kind", "path", "version"),
    [
        (EARLY, "sse", "/mcp/sse", "2024-11-05"),
        (LATE, "sse", "/mcp/sse", "2025-11-25"),
        (LATE, "stream", "/mcp-stream/mcp", "2025-11-25"),
    ],
)
def test_the_sdk_as_it_was_is_served(front_stack: FrontStack, sdk: str, kind: str, path: str, version: str) -> None:
    environ = {"PATH": os.environ["PATH"], "FACTORY_KEY": front_stack.secrets.operator_key()}
    argv = [environment(sdk), "-c", CLIENT, kind, front_stack.url + path]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["version"] == version
    assert "create_build" in found["tools"]
    assert "operator" in found["me"]
    assert found["blocks"] == (["text"] if version < "2025-06-18" else ["text", "resource_link"])
    assert found["refused"][0] is True
    assert "build.not_found" in found["refused"][1]
    assert "recipe://demo" in found["resources"]
    assert "summarize_builds" in found["prompts"]
