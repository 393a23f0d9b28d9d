"""Ids that a repeated request meets again."""

import re
import uuid

from domain.errors import Verdict

_NAMESPACE = uuid.UUID("8c5dc2c6-8fd0-5a66-9e43-0b0c8a0d7a6e")  # ours, fixed for ever: ids are made from it
_REQUEST_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def derived_id(scope: str, tool: str, request_key: str) -> str:
    """Return the id that `tool` gives to this request key within `scope` (an organization or a build).

    Raises:
        Verdict: `request_key.invalid` if it is not 1 to 128 printable ASCII characters without spaces.

    """
    if not _REQUEST_KEY.fullmatch(request_key):
        raise Verdict.because(
            "request_key.invalid",
            "A request_key is 1 to 128 printable ASCII characters without spaces.",
            path="request_key",
            next="Use a fresh UUID for each new request, and the same one only to repeat it.",
        )
    return str(uuid.uuid5(uuid.uuid5(_NAMESPACE, scope), f"{tool}:{request_key}"))


def is_build_id(text: str) -> bool:
    """Tell whether the text is an id as we write it: a lower-case UUID."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
