"""Names and numbers that machines go by on networks."""

from typing import Annotated

from pydantic import Field

NetworkName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
HostName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]

PRIVATE_DOMAIN = "internal"
"""The domain of machines' names on private networks (ICANN reserves it for that). Guests are told to search it."""
