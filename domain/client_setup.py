"""How each MCP client is told about a factory: a configuration that can be pasted as it is."""

import json
import shlex
from enum import StrEnum
from typing import Any

from domain.model import Value

PLACEHOLDER = "<your key>"
_KEY_VARIABLE = "OPENFACTORY_API_KEY"


class ClientName(StrEnum):
    """The clients that a configuration is written for."""

    CLAUDE = "claude"
    CLAUDE_CODE = "claude-code"
    CLAUDE_DESKTOP = "claude-desktop"
    CURSOR = "cursor"
    CODEX = "codex"


class ClientSetup(Value):
    """One client: where its configuration goes, in words, and the text to put there.

    `config` is the same as data, where the client's own form is JSON.
    """

    client: str
    title: str
    words: str
    snippet: str
    config: dict[str, Any] | None = None


def client_setup(client: ClientName, url: str, key: str | None = None) -> ClientSetup:
    """Write the configuration of one client for the factory at `url` (no path), with a placeholder without a key."""
    return _WRITERS[client](f"{url}/mcp-stream/mcp", key or PLACEHOLDER)


def client_setups(url: str, key: str | None = None) -> tuple[ClientSetup, ...]:
    """Write those of all clients, and what any other client asks for."""
    return (*(client_setup(client, url, key) for client in ClientName), _other(url, key or PLACEHOLDER))


def json_config(mcp_url: str, key: str) -> dict[str, Any]:
    """Write the form that most clients read from a file."""
    return {"mcpServers": {"openfactory": {"type": "http", "url": mcp_url, "headers": _headers(key)}}}


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _claude(mcp_url: str, key: str) -> ClientSetup:
    return ClientSetup(
        client=ClientName.CLAUDE,
        title="Claude.ai",
        words="Settings, Connectors, Add custom connector: it asks for the address and the header separately. The "
        "address must be one that the internet reaches by HTTPS.",
        snippet=f"URL: {mcp_url}\nHeader name: Authorization\nHeader value: Bearer {key}",
    )


def _claude_code(mcp_url: str, key: str) -> ClientSetup:
    header = shlex.quote(f"Authorization: Bearer {key}")
    return ClientSetup(
        client=ClientName.CLAUDE_CODE,
        title="Claude Code",
        words="Run this once in a terminal.",
        snippet=f"claude mcp add --transport http openfactory {shlex.quote(mcp_url)} \\\n  --header {header}",
        config=json_config(mcp_url, key),
    )


def _claude_desktop(mcp_url: str, key: str) -> ClientSetup:
    arguments = ["-y", "mcp-remote", mcp_url, "--header", "Authorization:${AUTHORIZATION}"]
    if mcp_url.startswith("http:"):
        arguments.append("--allow-http")
    server = {"command": "npx", "args": arguments, "env": {"AUTHORIZATION": f"Bearer {key}"}}
    config: dict[str, Any] = {"mcpServers": {"openfactory": server}}
    return ClientSetup(
        client=ClientName.CLAUDE_DESKTOP,
        title="Claude Desktop",
        words="Put this into claude_desktop_config.json (Settings, Developer, Edit Config); it needs Node.js.",
        snippet=json.dumps(config, indent=2),
        config=config,
    )


def _cursor(mcp_url: str, key: str) -> ClientSetup:
    config = json_config(mcp_url, key)
    return ClientSetup(
        client=ClientName.CURSOR,
        title="Cursor",
        words="Put this into ~/.cursor/mcp.json.",
        snippet=json.dumps(config, indent=2),
        config=config,
    )


def _codex(mcp_url: str, key: str) -> ClientSetup:
    table = f'[mcp_servers.openfactory]\nurl = {json.dumps(mcp_url)}\nbearer_token_env_var = "{_KEY_VARIABLE}"'
    return ClientSetup(
        client=ClientName.CODEX,
        title="OpenAI Codex",
        words="Put this into ~/.codex/config.toml, and set the variable of the comment in the environment of Codex.",
        snippet=f"# export {_KEY_VARIABLE}={shlex.quote(key)}\n{table}",
    )


def _other(url: str, key: str) -> ClientSetup:
    return ClientSetup(
        client="other",
        title="Any other client",
        words="Choose the transport Streamable HTTP, or SSE in a client of 2024; enter the address and the header.",
        snippet=f"Streamable HTTP: {url}/mcp-stream/mcp\nSSE: {url}/mcp/sse\nAuthorization: Bearer {key}",
    )


_WRITERS = {
    ClientName.CLAUDE: _claude,
    ClientName.CLAUDE_CODE: _claude_code,
    ClientName.CLAUDE_DESKTOP: _claude_desktop,
    ClientName.CURSOR: _cursor,
    ClientName.CODEX: _codex,
}
