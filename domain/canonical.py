"""Canonical JSON and the digests made from it."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can hold
    """Encode `value` as UTF-8 JSON with sorted keys and no white space (the core of RFC 8785).

    Models are dumped by alias with unset defaults included, so a default that is spelled out and
    one that is not give the same bytes.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """Return the SHA-256 of the canonical JSON of `value`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
