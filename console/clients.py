"""How each client is told about the factory."""

import json
from typing import NamedTuple

PLACEHOLDER = "<your key>"


class ClientSetup(NamedTuple):
    """A client's name, where the snippet goes, and the snippet."""

    name: str
    words: str
    snippet: str


def client_setups(mcp_url: str) -> tuple[ClientSetup, ...]:
    """Make a ready configuration for each client, with a placeholder for the key."""
    bearer = f"Bearer {PLACEHOLDER}"
    cursor = {"mcpServers": {"openfactory": {"url": mcp_url, "headers": {"Authorization": bearer}}}}
    return (
        ClientSetup(
            "Claude Code",
            "Run this once in a terminal.",
            f'claude mcp add --transport http \\\n  openfactory {mcp_url} \\\n  --header "Authorization: {bearer}"',
        ),
        ClientSetup(
            "Claude Desktop",
            "Put this into claude_desktop_config.json (Settings, Developer, Edit Config); it needs Node.js.",
            json.dumps(_desktop(mcp_url, bearer), indent=2),
        ),
        ClientSetup("Cursor", "Put this into ~/.cursor/mcp.json.", json.dumps(cursor, indent=2)),
        ClientSetup(
            "OpenAI Codex",
            "Put this into ~/.codex/config.toml, and the key into the environment variable OPENFACTORY_API_KEY.",
            f'[mcp_servers.openfactory]\nurl = "{mcp_url}"\nbearer_token_env_var = "OPENFACTORY_API_KEY"',
        ),
        ClientSetup(
            "Any other client",
            "Choose the transport Streamable HTTP, and enter the address and this header.",
            f"Address: {mcp_url}\nAuthorization: {bearer}",
        ),
    )


def _desktop(mcp_url: str, bearer: str) -> dict[str, object]:
    arguments = ["-y", "mcp-remote", mcp_url, "--header", "Authorization:${AUTHORIZATION}"]
    if mcp_url.startswith("http:"):
        arguments.append("--allow-http")
    server = {"command": "npx", "args": arguments, "env": {"AUTHORIZATION": bearer}}
    return {"mcpServers": {"openfactory": server}}
