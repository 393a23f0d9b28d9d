"""Named edits of a recipe's document: small changes that need no knowledge of where in the document they go.

They are made on the document, not on the recipe: whether the result is one is judged afterwards, all at once.
Only an edit that would make it deeper than any recipe is refused, since the next could reach into what it put there.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from domain.errors import Problem, Verdict
from domain.recipe.difference import IDENTITIES
from domain.recipe.keys import close, spelling, too_deep
from domain.recipe.problems import nested_too_deep

Edit = Mapping[str, Any]
_Document = dict[str, Any]
_Entry = dict[str, Any]

MOST_EDITS = 100
_IN_ENTRY = 3  # levels to what stands in an entry: the list, the entry, the value


def apply_edits(document: Mapping[str, Any], edits: Sequence[Edit]) -> tuple[_Document, tuple[Problem, ...]]:
    """Return the document with every edit made that can be, and what is wrong with the others."""
    edited = copy.deepcopy(dict(document))
    problems: list[Problem] = []
    for index, edit in enumerate(edits[:MOST_EDITS]):
        try:
            _apply(edited, edit)
        except Verdict as verdict:
            problems += [p.model_copy(update={"path": _at(index, p.path)}) for p in verdict.problems]
    if len(edits) > MOST_EDITS:
        message = f"At most {MOST_EDITS} edits are made at once."
        problems.append(Problem(code="edit.too_many", message=message, path="edits", next="Use a merge patch."))
    return edited, tuple(problems)


def _apply(document: _Document, edit: Edit) -> None:
    given = edit.get("edit")
    name = given if isinstance(given, str) else ""
    make = _EDITS.get(name)
    if make is None:
        raise Verdict.because(
            "edit.unknown",
            f"There is no edit `{name[:64]}`; there are: {', '.join(_EDITS)}.",
            path="edit",
            value=name[:64],
            suggestions=close(name, _EDITS),
            next="Use one of them, or a merge patch.",
        )
    make(document, {key: value for key, value in edit.items() if key != "edit"})


def _add_package(document: _Document, rest: _Entry) -> None:
    packages = _list(document, "packages")
    if (name := _text(rest, "name")) not in packages:
        packages.append(name)


def _remove_package(document: _Document, rest: _Entry) -> None:
    packages, name = _list(document, "packages"), _text(rest, "name")
    if name not in packages:
        raise _absent("packages", name, [str(package) for package in packages])
    packages.remove(name)


def _add(key: str) -> Callable[[_Document, _Entry], None]:
    """Make the edit that adds an entry; all that it says beside its name is the entry."""

    def make(document: _Document, rest: _Entry) -> None:
        entries, identity = _list(document, key), IDENTITIES[key]
        name = _text(rest, identity)
        _require_shallow(rest, rest, at=_IN_ENTRY)
        if _find(entries, identity, name) is not None:
            raise Verdict.because(
                "edit.already_there",
                f"`{key}` has `{name[:64]}` already.",
                path=identity,
                value=name[:64],
                next=f"Change it with set (path {key}.{name[:64]}.…), or remove it first.",
            )
        entries.append(rest)

    return make


def _remove(key: str) -> Callable[[_Document, _Entry], None]:
    """Make the edit that removes an entry, named by what identifies it."""

    def make(document: _Document, rest: _Entry) -> None:
        entries, identity = _list(document, key), IDENTITIES[key]
        name = _text(rest, identity)
        found = _find(entries, identity, name)
        if found is None:
            raise _absent(key, name, _names(entries, identity))
        entries.remove(found)

    return make


def _switch(*, enabled: bool) -> Callable[[_Document, _Entry], None]:
    """Make the edit that enables or disables a service; one that the recipe does not name yet is added."""

    def make(document: _Document, rest: _Entry) -> None:
        services = _list(document, "services")
        found = _find(services, "name", _text(rest, "name"))
        _require_shallow(rest, rest, at=_IN_ENTRY)
        if found is None:
            services.append({**rest, "enabled": enabled})
        else:
            found |= {**rest, "enabled": enabled}

    return make


def _set(document: _Document, rest: _Entry) -> None:
    """Set one value: `baseImage`, `services.ssh.config.port`, `users.deploy.shell`; in either spelling."""
    *way, last = _way(document, _text(rest, "path"))
    if "value" not in rest:
        raise _incomplete("value")
    _require_shallow(rest, ("value",), at=len(way) + 1)
    place: Any = document
    done: list[str] = []
    for name in way:
        key = _spelled(place, done, name)
        place = _step(place, done[-1] if done else "", key)
        done.append(key)
    if not isinstance(place, dict):
        raise _absent(".".join(way), last, [])
    cast("_Entry", place)[_spelled(place, done, last)] = rest["value"]


def _way(document: _Document, path: str) -> list[str]:
    """Split a path into its names; that of an entry may have dots itself, as a test's description has."""
    key, _, rest = path.partition(".")
    spelled = _spelled(document, [], key)
    entries, identity = document.get(spelled), IDENTITIES.get(spelled)
    if isinstance(entries, list) and identity is not None:
        named = [name for name in _names(cast("list[Any]", entries), identity) if rest.startswith(f"{name}.")]
        if named:
            name = max(named, key=len)
            return [key, name, *rest[len(name) + 1 :].split(".")]
    return path.split(".")


def _spelled(place: Any, way: list[str], name: str) -> str:  # noqa: ANN401 - a part of the document
    return spelling(cast("_Entry", place), way, name) if isinstance(place, dict) else name


def _step(place: Any, key: str, name: str) -> Any:  # noqa: ANN401 - a part of the document
    if isinstance(place, dict) and name in place:
        return cast("_Entry", place)[name]
    identity = IDENTITIES.get(key)
    if isinstance(place, list) and identity is not None:
        entries = cast("list[Any]", place)
        if (found := _find(entries, identity, name)) is not None:
            return found
        raise _absent(key, name, _names(entries, identity))
    known = list(cast("_Entry", place)) if isinstance(place, dict) else []
    raise _absent(key or "the recipe", name, known)


def _require_shallow(rest: _Entry, keys: Iterable[str], *, at: int) -> None:
    """Refuse values that make the document too deep when they come to stand so many levels below its top."""
    deep = [key for key in keys if too_deep(rest[key], at)]
    if deep:
        raise Verdict(*(nested_too_deep(key[:64]) for key in deep))


def _list(document: _Document, key: str) -> list[Any]:
    found = document.setdefault(key, [])
    if not isinstance(found, list):
        raise Verdict.because("edit.not_a_list", f"`{key}` is not a list here.", path=key, next="Correct the patch.")
    return cast("list[Any]", found)


def _find(entries: list[Any], identity: str, name: str) -> _Entry | None:
    found = (cast("_Entry", entry) for entry in entries if isinstance(entry, dict))
    return next((entry for entry in found if entry.get(identity) == name), None)


def _names(entries: list[Any], identity: str) -> list[str]:
    return [str(cast("_Entry", entry).get(identity)) for entry in entries if isinstance(entry, dict)]


def _text(rest: _Entry, key: str) -> str:
    value = rest.get(key)
    if not isinstance(value, str) or not value:
        raise _incomplete(key)
    return value


def _incomplete(key: str) -> Verdict:
    return Verdict.because("edit.incomplete", f"This edit needs `{key}`.", path=key, next="Add it.")


def _absent(where: str, name: str, known: list[str]) -> Verdict:
    return Verdict.because(
        "edit.nothing_there",
        f"There is no `{name[:64]}` in {where}.",
        value=name[:64],
        suggestions=close(name, known) or tuple(known[:5]),
        next="Correct the name; get_recipe shows what is there.",
    )


def _at(index: int, path: str | None) -> str:
    return f"edits[{index}].{path}" if path else f"edits[{index}]"


_EDITS: Mapping[str, Callable[[_Document, _Entry], None]] = {
    "add_package": _add_package,
    "remove_package": _remove_package,
    "add_user": _add("users"),
    "remove_user": _remove("users"),
    "enable_service": _switch(enabled=True),
    "disable_service": _switch(enabled=False),
    "remove_service": _remove("services"),
    "add_startup_script": _add("startupScripts"),
    "remove_startup_script": _remove("startupScripts"),
    "add_test": _add("tests"),
    "remove_test": _remove("tests"),
    "set": _set,
}
EDITS: tuple[str, ...] = tuple(_EDITS)
