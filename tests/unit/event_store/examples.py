"""An example of every event of the domain, made of its fields' types, with every field filled."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel

from domain.build.inputs import BuildRequest
from domain.errors import Problem
from domain.event import Event
from domain.image.inputs import ImageRequest
from domain.saved_recipe.inputs import RecipeContent
from domain.suite.inputs import Binding
from domain.suite.schema import CommandStep
from domain.vm.spec import ImageRef, Network, PortForward, VmSpec
from event_store.mapper import EVENTS

_IMAGE = ImageRef(digest="d" * 64, bytes=1, format="qcow2", source="build", source_id="b", name="x.qcow2")
_KNOWN: dict[object, object] = {
    datetime: datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC),
    str: "text \0 é",
    int: 7,
    float: 0.25,
    bool: True,
    Any: {"name": "x", "list": [1, {"a": None}]},
    ImageRef: _IMAGE,
    VmSpec: VmSpec(
        name="x",
        image=_IMAGE,
        disk=64,
        idle_stop=600,
        networks=(Network(name="lab", scope="s", hostname="primary"),),
        forwards=(PortForward(guest_port=22, host_port=2022),),
    ),
    PortForward: PortForward(guest_port=22, host_port=2022),
    Binding: Binding(slot="primary", source="build", source_id="b", format="iso"),
    Problem: Problem(code="boot.failed", message="why", suggestions=("a",), retryable=True),
    BuildRequest: BuildRequest(build_id="b", org_id="o", requested_by="me", recipe={"name": "x"}),
    ImageRequest: ImageRequest(
        image_id="i", org_id="o", requested_by="me", name="x.iso", format="iso", bytes=1, sha256="d" * 64
    ),
    RecipeContent: RecipeContent(document={"name": "x"}, description="é"),
    CommandStep: CommandStep(action="command", slot="primary", command="true"),
}


def one_of_each() -> Iterator[Event]:
    """Make one of each event, in the order of their names."""
    for name in sorted(EVENTS):
        yield cast("Event", _model(EVENTS[name]))


def _model(cls: type[BaseModel]) -> BaseModel:
    return cls(**{name: _value(field.rebuild_annotation()) for name, field in cls.model_fields.items()})


def _value(kind: Any) -> object:
    if kind in _KNOWN:
        return _KNOWN[kind]
    made = _OF_ORIGIN.get(get_origin(kind))
    return made(get_args(kind)) if made is not None else _model(kind)


def _one_of(arguments: tuple[Any, ...]) -> object:
    known = [a for a in arguments if a in _KNOWN]
    return _value(known[0] if known else arguments[0])


_OF_ORIGIN: dict[object, Callable[[tuple[Any, ...]], object]] = {
    Annotated: lambda arguments: _value(arguments[0]),
    Literal: lambda arguments: arguments[0],
    Union: _one_of,
    UnionType: _one_of,
    tuple: lambda arguments: (_value(arguments[0]),),
    dict: lambda arguments: {"key": _value(arguments[1])},
}
