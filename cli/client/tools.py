"""What commands need of a factory. Apart from the session, whose library takes a second to load."""

from collections.abc import Mapping
from typing import Any, Protocol


class Tools(Protocol):
    """Something whose tools can be called: a session, or a fake of one."""

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool and return its structured answer; raises `ClientFailure`."""
        ...
