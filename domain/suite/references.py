"""References in a suite's texts: `${param:NAME}` is a parameter's value, `${slot:NAME}` another machine's name.

`$${param:NAME}` stands for the text itself. What has no such form (`${HOME}`, `${param:-x}`) is left alone: it
belongs to a shell.
"""

import re
from collections.abc import Iterator, Mapping
from typing import cast

from domain.vm.names import PRIVATE_DOMAIN

_REFERENCE = re.compile(r"(\$?)\$\{(param|slot):([A-Za-z_][A-Za-z0-9_-]{0,63})\}")

Parameters = Mapping[str, str | bool | int]


def fill(value: object, parameters: Parameters) -> object:
    """Put in what is referred to, everywhere in a JSON value; an unknown parameter's reference stays as it is.

    A text that is nothing but one parameter's reference takes on the parameter's type. A slot's name is
    its machine's name on the network, so it need not be known. It is put in with its domain: an image whose
    own name is `server` takes `server` alone for itself.
    """
    if isinstance(value, str):
        return _filled(value, parameters)
    if isinstance(value, Mapping):
        return {key: fill(item, parameters) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [fill(item, parameters) for item in cast("list[object]", value)]
    return value


def references(value: object, kind: str, path: str = "") -> Iterator[tuple[str, str]]:
    """Find where in a JSON value names are referred to: pairs of path and name."""
    if isinstance(value, str):
        for match in _REFERENCE.finditer(value):
            if match[2] == kind and not match[1]:
                yield path, match[3]
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[object, object]", value).items():
            yield from references(item, kind, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(cast("list[object]", value)):
            yield from references(item, kind, f"{path}[{index}]")


def templated(text: object) -> bool:
    """Tell whether a value is a text with something to fill in."""
    return isinstance(text, str) and _REFERENCE.search(text) is not None


def _filled(text: str, parameters: Parameters) -> object:
    whole = _REFERENCE.fullmatch(text)
    if whole is not None and not whole[1] and whole[2] == "param" and whole[3] in parameters:
        return parameters[whole[3]]
    return _REFERENCE.sub(lambda match: _one(match, parameters), text)


def _one(match: re.Match[str], parameters: Parameters) -> str:
    escaped, kind, name = match.groups()
    if escaped:
        return match[0][1:]
    if kind == "slot":
        return f"{name}.{PRIVATE_DOMAIN}"
    value = parameters.get(name, match[0])
    return str(value).lower() if isinstance(value, bool) else str(value)
