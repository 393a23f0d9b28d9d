"""What a layer is known by: everything that goes into it, and nothing about where that came from."""

from typing import Any

from domain.artifacts import LayerKind
from domain.canonical import digest
from domain.model import Value


class LayerIngredients(Value):
    """All that decides a layer's bytes.

    `packages` and `sources` are digests; `settings` is what of the recipe and the factory's settings
    shows in this layer. The build mirror is in none of them.
    """

    kind: LayerKind
    parent_key: str | None
    tools: dict[str, str]
    suite: str
    arch: str
    epoch: int
    packages: str
    sources: str
    settings: dict[str, Any]

    @property
    def key(self) -> str:
        """The layer's key: SHA-256 as 64 hexadecimal digits."""
        return digest(self)
