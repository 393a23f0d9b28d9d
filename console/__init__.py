"""The edge: the one public port, in front of the MCP server, the downloads and the pages."""
