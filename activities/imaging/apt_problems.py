"""What is wrong with a recipe's packages, in plain words, with a path for each."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence

from domain.errors import Problem
from domain.recipe.schema import Recipe

_SUGGESTIONS = 3
_MOST_PROVIDERS = 8
_UNMET = "The following packages have unmet dependencies:"
_RELATION = re.compile(r"^ (?:(?P<name>\S+) :)? *(?P<relation>[A-Z][A-Za-z-]+): (?P<detail>.+)$")
_VERBS = {
    "Conflicts": "conflicts with",
    "Breaks": "breaks",
    "Depends": "depends on",
    "PreDepends": "depends on",
    "Pre-Depends": "depends on",
}


def paths_of(recipe: Recipe) -> dict[str, str]:
    """Where each package name stands in the recipe; what comes by default stands nowhere."""
    return {name: f"packages[{i}]" for i, name in reversed(list(enumerate(recipe.packages)))}


def not_found(
    name: str, path: str | None, where: str, names: Collection[str], available_in: Sequence[str] = ()
) -> Problem:
    """Say that no package has this name. `where` tells which index was searched."""
    elsewhere = f" It is in {', '.join(available_in)}." if available_in else ""
    suggestions = similar(name, names)
    hint = "Use one of the suggested names." if suggestions else "Check the name; only the section main is searched."
    return Problem(
        code="package.not_found",
        message=f"No package '{name}' in {where}.{elsewhere}",
        path=path,
        value=name,
        suggestions=suggestions,
        next=f"Use the base image of {available_in[0]}, or another package." if available_in else hint,
    )


def virtual(name: str, path: str | None, providers: Sequence[str]) -> Problem:
    """Say that the name stands for several packages, of which one must be named."""
    return Problem(
        code="package.virtual",
        message=f"'{name}' is not a package but a name for what {len(providers)} package(s) provide.",
        path=path,
        value=name,
        suggestions=tuple(providers[:_MOST_PROVIDERS]),
        next="Name one of the packages that provide it.",
    )


def similar(name: str, names: Collection[str]) -> tuple[str, ...]:
    """Name the closest names, best first. Quick over all of Debian: most names are ruled out by their letters."""
    pairs, slack = _pairs(name), max(2, len(name) // 4)
    near = [n for n in names if abs(len(n) - len(name)) <= slack and (n[0] == name[0] or _overlap(pairs, n))]
    close = difflib.get_close_matches(name, sorted(near), n=_SUGGESTIONS, cutoff=0.7)
    longer = sorted((n for n in names if n.startswith(f"{name}-")), key=lambda n: (len(n), n))
    return tuple(dict.fromkeys((*close, *longer)))[:_SUGGESTIONS]


def _pairs(name: str) -> frozenset[str]:
    return frozenset(name[i : i + 2] for i in range(len(name) - 1))


def _overlap(pairs: frozenset[str], other: str) -> bool:
    return 2 * len(pairs & _pairs(other)) >= len(pairs)


def conflicts(output: Sequence[str], paths: Mapping[str, str]) -> tuple[Problem, ...]:
    """Turn apt-get's report of unmet dependencies into problems; the same output gives the same."""
    unmet = _unmet(output)
    rivals: dict[str, list[str]] = {}
    for name, relation, detail in unmet:
        if relation == "Conflicts" and name in paths:
            rivals.setdefault(detail.split()[0], []).append(name)
    found = [_rivals(target, names, paths) for target, names in sorted(rivals.items()) if len(names) > 1]
    return tuple(found) or (_unsolved(unmet, output, paths),)


def _unmet(output: Sequence[str]) -> list[tuple[str, str, str]]:
    start = next((i for i, line in enumerate(output) if line.startswith(_UNMET)), len(output))
    unmet: list[tuple[str, str, str]] = []
    name = ""
    for line in output[start + 1 :]:
        if match := _RELATION.match(line):
            name = (match["name"] or name).split(":")[0]
            unmet.append((name, match["relation"], match["detail"].strip()))
    return unmet


def _rivals(target: str, names: Sequence[str], paths: Mapping[str, str]) -> Problem:
    ordered = sorted(set(names), key=lambda name: paths[name])
    both = "both" if len(ordered) == 2 else "all"  # noqa: PLR2004 - two are both
    listed = f"{', '.join(ordered[:-1])} and {ordered[-1]}"
    places = ", ".join(paths[name] for name in ordered)
    return Problem(
        code="package.conflict",
        message=f"{listed} {both} conflict with {target}; keep one ({places}).",
        path=paths[ordered[-1]],
        value=ordered[-1],
        suggestions=tuple(ordered),
        next="Remove all but one of them from the recipe.",
    )


def _unsolved(unmet: Sequence[tuple[str, str, str]], output: Sequence[str], paths: Mapping[str, str]) -> Problem:
    sentences = [f"{name} {_VERBS.get(relation, relation.lower())} {detail}" for name, relation, detail in unmet]
    if not sentences:
        sentences = [line[3:] for line in output if line.startswith("E: ")] or ["apt gave no reason"]
    words = {word for name, _, detail in unmet for word in (name, *detail.split())}
    blamed = sorted((name for name in paths if name in words), key=lambda name: paths[name])
    return Problem(
        code="package.conflict",
        message=f"The packages cannot be installed together: {'; '.join(sentences[:5])}.",
        path=paths[blamed[0]] if blamed else "packages",
        value=blamed[0] if blamed else None,
        next="Remove one of the packages named, or choose another base image.",
    )
