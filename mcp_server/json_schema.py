"""Schemas as short as they can be: every client carries them in every conversation."""

from collections.abc import Callable
from typing import Any, cast

Node = dict[str, Any]
_NULL: Node = {"type": "null"}


def plain_schema(schema: Node) -> Node:
    """Drop what pydantic adds: titles made of names, and null as an alternative.

    Null is never needed: an argument may be left out, and what is null is left out of answers.
    """
    return cast("Node", _walk(schema, _plain))


def always_there(schema: Node) -> Node:
    """Promise of an answer only that it is an object, and which fields are never left out.

    The whole schemas of all answers cost a client three times what the tools themselves cost, in every conversation;
    the names of an answer's fields say what they are.
    """
    properties = cast("dict[str, Node]", schema.get("properties", {}))
    required = cast("list[str]", schema.get("required", []))
    return {"type": "object", "required": [name for name in required if _NULL not in properties[name].get("anyOf", [])]}


def _plain(node: Node) -> Node:
    kept = _without(node, "title")
    if "default" in kept and kept["default"] is None:
        del kept["default"]
    choices = kept.get("anyOf")
    if not isinstance(choices, list) or _NULL not in choices:
        return kept
    rest = [choice for choice in cast("list[Node]", choices) if choice != _NULL]
    del kept["anyOf"]
    return {**rest[0], **kept} if len(rest) == 1 else {**kept, "anyOf": rest}


def _without(node: Node, word: str) -> Node:
    """Drop a schema's own title or description, but not a property of that name, which is a schema."""
    return {key: value for key, value in node.items() if not (key == word and isinstance(value, str))}


def _walk(value: object, change: Callable[[Node], Node]) -> object:
    if isinstance(value, dict):
        node = {k: _walk(v, change) for k, v in cast("Node", value).items()}
        return change(node)
    if isinstance(value, list):
        return [_walk(item, change) for item in cast("list[object]", value)]
    return value
