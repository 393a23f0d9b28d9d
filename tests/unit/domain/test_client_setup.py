"""Configurations can be pasted as they are: read back as their clients read them."""

import json
import shlex
import tomllib

import pytest

from domain.client_setup import PLACEHOLDER, ClientName, client_setup, client_setups

URL = "https://factory.example"
MCP = f"{URL}/mcp-stream/mcp"
NASTY = "of_key'\"$(id)"


@pytest.mark.parametrize("key", [None, "of_key", NASTY])
def test_every_configuration_can_be_pasted_as_it_is(key: str | None) -> None:
    setups = {setup.client: setup for setup in client_setups(URL, key)}
    bearer = f"Bearer {key or PLACEHOLDER}"
    cursor = json.loads(setups["cursor"].snippet)["mcpServers"]["openfactory"]
    assert (cursor["url"], cursor["headers"]["Authorization"]) == (MCP, bearer)
    desktop = json.loads(setups["claude-desktop"].snippet)["mcpServers"]["openfactory"]
    assert (desktop["env"]["AUTHORIZATION"], "--allow-http" in desktop["args"]) == (bearer, False)
    codex = tomllib.loads(setups["codex"].snippet)["mcp_servers"]["openfactory"]
    assert codex == {"url": MCP, "bearer_token_env_var": "OPENFACTORY_API_KEY"}
    words = shlex.split(setups["claude-code"].snippet)
    assert words[-2:] == ["--header", f"Authorization: {bearer}"]
    assert MCP in words
    assert bearer in setups["claude"].snippet
    assert f"{URL}/mcp/sse" in setups["other"].snippet


def test_claude_desktop_is_told_where_there_is_no_tls() -> None:
    setup = client_setup(ClientName.CLAUDE_DESKTOP, "http://10.0.0.5:1")
    assert "--allow-http" in setup.snippet
