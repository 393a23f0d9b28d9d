"""The MCP face of the factory: thin tools over `service`."""
