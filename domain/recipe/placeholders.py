"""References from a test to other machines and to parameters: `${slot:server}`, `${param:port}`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from domain.errors import Verdict

_REFERENCE = re.compile(r"\$\{([a-z]+):([A-Za-z0-9_-]{1,64})\}")


def references(value: Any, kind: str = "slot") -> tuple[str, ...]:  # noqa: ANN401 - any JSON
    """Name what the text in `value` refers to by `${kind:name}`, sorted, each once."""
    found = {match[2] for text in _texts(value) for match in _REFERENCE.finditer(text) if match[1] == kind}
    return tuple(sorted(found))


def resolve(value: Any, known: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """Put `known["slot:server"]` in the place of `${slot:server}` in all text of `value`, keys left alone.

    What has the form of a shell variable (`${HOME}`) has no kind and stays as it is.

    Raises:
        Verdict: `suite.unknown_reference`.

    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _known(match, known), value)
    if isinstance(value, Mapping):
        return {key: resolve(item, known) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [resolve(item, known) for item in cast("list[Any]", value)]
    return value


def _known(match: re.Match[str], known: Mapping[str, str]) -> str:
    name = f"{match[1]}:{match[2]}"
    if name not in known:
        raise Verdict.because(
            "suite.unknown_reference",
            f"nothing is known as {match[0]}",
            value=match[0],
            suggestions=tuple(f"${{{key}}}" for key in sorted(known)[:5]),
            next="Correct the name, or add the slot or parameter.",
        )
    return known[name]


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            yield from _texts(item)
