"""From what a caller sends to a suite: a document, its YAML or JSON text, or the name of a built-in example."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from domain.errors import Verdict
from domain.recipe.keys import close
from domain.suite.parse import ParsedSuite, parse_suite
from domain.suite.problems import in_suites
from domain.suite.views import SuiteExample
from service.recipe_text import decode

SuiteDocument = Mapping[str, Any] | str
_FOLDER = Path(__file__).resolve().parent.parent / "recipes" / "suites"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def understood(document: SuiteDocument) -> ParsedSuite:
    """Turn what the caller sent into a suite. Text that is one bare word is an example's name.

    Raises:
        Verdict: with every problem at once.

    """
    if isinstance(document, Mapping):
        return parse_suite(document)
    if _NAME.fullmatch(document.strip()):
        return _example(document.strip())
    try:
        decoded = decode(document)
    except Verdict as verdict:
        problems = (p.model_copy(update={"message": p.message.replace("recipe", "suite")}) for p in verdict.problems)
        raise Verdict(*map(in_suites, problems)) from None
    return parse_suite(decoded)


@cache
def examples() -> tuple[SuiteExample, ...]:
    """List the built-in examples."""
    return tuple(
        SuiteExample(name=parsed.suite.name, description=parsed.suite.description)
        for parsed in (_read(path) for path in sorted(_FOLDER.glob("*.yaml")))
    )


def _example(name: str) -> ParsedSuite:
    path = _FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = tuple(example.name for example in examples())
        raise Verdict.because(
            "suite.not_found",
            f"there is no built-in suite `{name}`",
            path="suite",
            value=name,
            suggestions=close(name, known) or known,
            next="Send the suite itself as a document or as YAML text.",
        )
    return _read(path)


def _read(path: Path) -> ParsedSuite:
    return parse_suite(decode(path.read_bytes()))
