"""A statement that goes into an append's transaction."""

from collections.abc import Sequence

from psycopg.sql import Composed

Statement = tuple[str | Composed, Sequence[object]]
"""SQL and its parameters."""
