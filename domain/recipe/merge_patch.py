"""JSON Merge Patch (RFC 7386): mappings are merged, null removes a key, anything else replaces what was there."""

from collections.abc import Mapping
from typing import Any, cast


def merge_patch(target: object, patch: object) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Return `target` with `patch` applied, as section 2 says; neither is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(cast("Mapping[str, Any]", target)) if isinstance(target, Mapping) else {}
    for key, value in cast("Mapping[str, Any]", patch).items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
