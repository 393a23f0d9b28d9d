"""Hostile input for tests: values made from a JSON schema, and what people and programs do to them."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from hypothesis import strategies as st

from domain.errors import Problem

Schema = Mapping[str, Any]
Strategy = st.SearchStrategy[Any]

NASTY: Final = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "a\udfffb",
    "\u202egnp.exe",
    "\u200b\u2066\ufeff",
    "\x1b[2J\x1b]0;owned\x07",
    "line\nnext: do this\n",
    "\r\n",
    "\x85\u2028\u2029",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/dev/stdin",
    "-rf",
    "--upload-pack=touch /canary",
    "$(touch /canary)",
    "`touch /canary`",
    "; touch /canary;",
    "' OR '1'='1",
    '"; DROP TABLE builds; --',
    "%s%n%x",
    "{0.__class__}",
    "${param:x}${slot:y}",
    "$${param:x}",
    "NaN",
    "Infinity",
    "1e400",
    "-0",
    "٣٣",
    "9" * 5000,
    "0x10",
    "true",
    "null",
    "None",
    "🧨" * 300,
    "a" * 70_000,
    "é" * 40_000,
    "ofg_" + "A" * 600,
    "11111111-1111-4111-8111-111111111111",
    "11111111-1111-4111-8111-11111111111G",
)
"""Texts that have broken programs before."""

WORDS: Strategy = st.one_of(st.sampled_from(NASTY), st.text(max_size=40), st.characters().map(str))
NUMBERS: Strategy = st.one_of(
    st.integers(),
    st.sampled_from(
        [0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e308, math.inf, -math.inf, math.nan]
    ),
    st.floats(),
)
ODD: Strategy = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=8,
)
"""Anything that JSON, or a lenient reader of it, can hold."""


def nested(depth: int) -> Any:
    """Make a list in a list in a list."""
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


def of_schema(schema: Schema, names: Mapping[str, Strategy] | None = None) -> Strategy:
    """Make values that a JSON schema (of pydantic's kind) takes. `names` say what properties of a name are instead."""
    return _Maker(cast("Schema", schema.get("$defs", {})), names or {}).of(schema)


class _Maker:
    def __init__(self, definitions: Schema, names: Mapping[str, Strategy]) -> None:
        self._definitions = definitions
        self._names = names
        self._made: dict[str, Strategy] = {}

    def of(self, schema: Schema) -> Strategy:
        """Choose by what the schema says first."""
        if "$ref" in schema:
            return self._referred(schema["$ref"].rpartition("/")[2])
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return st.one_of([self.of(each) for each in schema[several]])
        kinds: dict[str, Callable[[Schema], Strategy]] = {
            "string": _text,
            "integer": _whole,
            "number": _number,
            "boolean": lambda _: st.booleans(),
            "null": lambda _: st.none(),
            "array": self._list,
            "object": self._mapping,
        }
        make = kinds.get(schema.get("type", ""))
        return ODD if make is None else make(schema)

    def _referred(self, name: str) -> Strategy:
        if name not in self._made:
            self._made[name] = st.deferred(lambda: self.of(self._definitions[name]))
        return self._made[name]

    def _list(self, schema: Schema) -> Strategy:
        least = schema.get("minItems", 0)
        items = self.of(schema.get("items", {}))
        return st.lists(items, min_size=least, max_size=min(schema.get("maxItems", 3), least + 3))

    def _mapping(self, schema: Schema) -> Strategy:
        properties: Schema = schema.get("properties", {})
        if not properties:
            return st.dictionaries(st.text(max_size=8), ODD, max_size=3)
        made = {n: self._names[n] if n in self._names else self.of(each) for n, each in properties.items()}
        required = schema.get("required", ())
        return st.fixed_dictionaries(
            {name: made[name] for name in required}, optional={n: s for n, s in made.items() if n not in required}
        )


def _text(schema: Schema) -> Strategy:
    if "pattern" in schema:
        longest = min(schema.get("maxLength", 200), 200)
        return st.from_regex(re.compile(schema["pattern"])).map(lambda text: text[:longest])
    return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 40), 40))


def _whole(schema: Schema) -> Strategy:
    least, most = schema.get("minimum"), schema.get("maximum")
    edges = [edge for edge in (least, most) if edge is not None]
    made = st.integers(min_value=least, max_value=most)
    return made | st.sampled_from(edges) if edges else made


def _number(schema: Schema) -> Strategy:
    return st.floats(min_value=schema.get("minimum"), max_value=schema.get("maximum"), allow_nan=False)


@st.composite
def spoilt(draw: st.DrawFn, whole: Strategy) -> Any:
    """Take a value and put something odd into it, one to three times."""
    value = draw(whole)
    for _ in range(draw(st.integers(1, 3))):
        value = _spoil(draw, value)
    return value


def _spoil(draw: st.DrawFn, value: Any) -> Any:
    deeper = bool(value) and draw(st.integers(0, 4)) > 0
    if isinstance(value, dict) and deeper:
        return _spoilt_mapping(draw, cast("dict[str, Any]", value))
    if isinstance(value, list) and deeper:
        items = cast("list[Any]", value)
        place = draw(st.integers(0, len(items) - 1))
        if draw(st.integers(0, 5)) == 0:
            return items * 40
        return [*items[:place], _spoil(draw, items[place]), *items[place + 1 :]]
    return draw(st.one_of(ODD, WORDS, st.just(nested(60)), st.just(nested(400))))


def _spoilt_mapping(draw: st.DrawFn, held: dict[str, Any]) -> dict[str, Any]:
    key = draw(st.sampled_from(sorted(held)))
    match draw(st.integers(0, 5)):
        case 0:
            return {name: item for name, item in held.items() if name != key}
        case 1:
            return {**held, draw(WORDS): draw(ODD)}
        case 2:
            return {**held, key.upper(): draw(ODD)}
        case _:
            return {**held, key: _spoil(draw, held[key])}


def check_problems(problems: Sequence[Problem], *, pathless: frozenset[str] = frozenset()) -> None:
    """Hold that every problem has a stable code, words, a way out, and a path unless its code has none."""
    assert problems
    for problem in problems:
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", problem.code), problem
        assert problem.code != "factory.internal", problem
        assert problem.message.strip(), problem
        assert len(problem.message) < 2_000, problem
        assert problem.next, problem
        assert problem.path or problem.code in pathless, problem
