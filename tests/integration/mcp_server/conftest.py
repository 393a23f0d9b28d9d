"""The front as processes, and a client of it."""

from tests.integration.front_stack import front_stack, temporal_address

__all__ = ["front_stack", "temporal_address"]
