"""Refusals and faults where there is no tool to answer with: as errors of the protocol."""

from mcp import MCPError

from domain.errors import FactoryError

INVALID_PARAMS = -32602  # JSON-RPC 2.0, 5.1
INTERNAL_ERROR = -32603
_RESOURCE_NOT_FOUND = -32002  # up to 2025-11-25; from 2026-07-28 on it is INVALID_PARAMS
_MODERN = "2026-07-28"
_MOST_PROBLEMS = 20


def protocol_error(error: FactoryError, version: str | None, *, resource: bool = False) -> MCPError:
    """Make the error: its message names every problem, its data has them as a tool would answer them."""
    problem = error.problems[0]
    code = INTERNAL_ERROR if error.retryable else INVALID_PARAMS
    if resource and (version or _MODERN) < _MODERN and problem.code.endswith(".not_found"):
        code = _RESOURCE_NOT_FOUND
    shown = error.problems[:_MOST_PROBLEMS]
    listed = [p.model_dump(mode="json", exclude_none=True) for p in shown]
    return MCPError(code=code, message="; ".join(f"{p.code}: {p.message}" for p in shown), data={"problems": listed})
