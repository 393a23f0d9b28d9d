"""From the text of a recipe to a recipe: YAML 1.2's core in a safe subset, or JSON.

YAML's surprises are switched off instead of explained: no anchors, aliases or tags, one document,
no key twice; `yes` and `2024-01-01` and `1.10` and `0644` are text; only `true`, `false`, whole
decimal numbers and `null` are more than text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from domain.errors import Verdict
from domain.recipe.parse import parse_recipe, too_large
from domain.recipe.schema import MAX_BYTES, Recipe

_MAX_DEPTH = 16  # the deepest recipe has eight levels


class _Loader(yaml.CSafeLoader):
    """A safe loader with its own idea of what is not text, and of keys that come twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - the library's own form


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    """Build a mapping, refusing keys that are not text or come twice."""
    out: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _unreadable("a key must be plain text", key.start_mark)
        name = str(key.value)
        if name in out:
            message = f"the key `{name[:64]}` comes twice in one mapping"
            raise _unreadable(message, key.start_mark, code="recipe.duplicate_key")
        out[name] = loader.construct_object(value, deep=True)  # pyright: ignore[reportUnknownMemberType] - untyped there
    return out


def _only(tag: str, pattern: str, first: Sequence[str]) -> None:
    """Let plain text of this pattern, beginning with one of `first`, be more than text."""
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))  # pyright: ignore[reportUnknownMemberType] - untyped there


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_only("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_only("int", r"^-?(?:0|[1-9][0-9]{0,17})$", "-0123456789")
_only("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""])


def read_recipe(document: str | bytes | Mapping[str, Any]) -> Recipe:
    """Make a recipe of YAML or JSON text, or of a document that is decoded already.

    Raises:
        Verdict: with every problem at once (see `parse_recipe`), or what makes the text unreadable.

    """
    return parse_recipe(document if isinstance(document, Mapping) else decode(document))


def decode(text: str | bytes) -> Any:  # noqa: ANN401 - whatever the text says
    """Decode the text alone.

    Raises:
        Verdict: `recipe.too_large`, `recipe.not_a_document` or `recipe.duplicate_key`, with line and column.

    """
    size = len(text.encode(errors="replace") if isinstance(text, str) else text)
    if size > MAX_BYTES:
        raise too_large(size)
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"the recipe is not UTF-8 text (byte {error.start})"
            raise Verdict.because("recipe.not_a_document", message, next="Save it as UTF-8.") from None
    elif not _is_unicode(text):
        message = "the recipe holds half of a surrogate pair, which is no character"
        raise Verdict.because("recipe.not_a_document", message, next="Send it as UTF-8 text.")
    if text.lstrip().startswith(("{", "[")):
        try:
            return json.loads(text, object_pairs_hook=_pairs, parse_constant=_refuse)
        except (ValueError, RecursionError):
            pass  # flow-style YAML looks like this too, and its parser says where the mistake is
    return _decode_yaml(text)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decode_yaml(text: str) -> Any:  # noqa: ANN401 - as in decode
    try:
        _refuse_cleverness(text)
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error.problem or "it cannot be read", error.problem_mark or error.context_mark) from None
    except yaml.YAMLError as error:
        raise _unreadable(str(error).splitlines()[0], None) from None
    if document is None:
        raise Verdict.because("recipe.not_a_document", "the recipe is empty", next="Begin with `name` and `baseImage`.")
    return document


def _refuse_cleverness(text: str) -> None:
    """Look through the events before anything is built, so that no document can grow or nest without end."""
    depth = 0
    documents = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _unreadable("anchors and aliases (& and *) are not taken; write the value out", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _unreadable("tags (!) are not taken; put text that begins with ! in quotes", event.start_mark)
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise _unreadable("there is more than one document (---)", event.start_mark)
        if depth > _MAX_DEPTH:
            raise _unreadable(f"it is nested more than {_MAX_DEPTH} levels deep", event.start_mark)


def _unreadable(message: str, mark: Any, *, code: str = "recipe.not_a_document") -> Verdict:  # noqa: ANN401 - two mark types
    place = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else None
    where = f"{place}: " if place else ""
    return Verdict(
        *Verdict.because(
            code, f"the recipe cannot be read: {where}{message}", path=place, next="Correct the text and send it again."
        ).problems
    )


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key comes twice")
    return out


def _refuse(constant: str) -> Any:  # noqa: ANN401 - never returns
    raise ValueError(f"{constant} is not JSON")
