"""What is different between two recipes, entry by entry: for people, and small."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from domain.model import Value
from domain.recipe.keys import join

IDENTITIES: Mapping[str, str] = {
    "services": "name",
    "users": "username",
    "startupScripts": "name",
    "tests": "description",
}
"""The lists of a recipe whose entries are mappings, and the key that tells an entry from the others."""

Kind = Literal["added", "removed", "changed"]


class Difference(Value):
    """One difference. `path` names an entry of a list by what identifies it: `users.deploy.shell`."""

    kind: Kind
    path: str
    before: Any = None
    after: Any = None


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Tell what leads from one document to the other, in the order of their keys."""
    return tuple(_mappings("", before, after))


def _mappings(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for key in dict.fromkeys((*before, *after)):
        yield from _values(join(path, key), key, before.get(key), after.get(key))


def _values(path: str, key: str, before: object, after: object) -> Iterator[Difference]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _mappings(path, cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after))
    elif (left := _entries(key, cast("object", before))) is not None and (right := _entries(key, after)) is not None:
        yield from _mappings(path, left, right)
    elif before is None or after is None:
        yield Difference(kind="added" if before is None else "removed", path=path, before=before, after=after)
    else:
        yield Difference(kind="changed", path=path, before=before, after=after)


def _entries(key: str, value: object) -> Mapping[str, Any] | None:
    """See a list as a mapping from what identifies each entry; nothing if that cannot be told."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    items = list(cast("Sequence[object]", value))
    names: list[object] = items
    if (identity := IDENTITIES.get(key)) is not None:
        names = [cast("Mapping[str, object]", item).get(identity) for item in items if isinstance(item, Mapping)]
    if len(names) != len(items) or not all(isinstance(n, str) for n in names) or len(set(names)) != len(items):
        return None
    return dict(zip(cast("list[str]", names), items, strict=True))
