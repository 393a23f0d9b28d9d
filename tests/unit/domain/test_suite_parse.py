"""A suite document: everything that is wrong with it at once, and one canonical form of what is right."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Problem, Verdict
from domain.suite.parse import ParsedSuite, parse_suite
from domain.suite.schema import MAX_BYTES, AssertStep


def suite(**more: object) -> dict[str, Any]:
    return {"name": "smoke", "cases": [{"name": "c", "steps": [{"action": "command", "command": "true"}]}], **more}


def steps(*given: object) -> dict[str, Any]:
    return suite(cases=[{"name": "c", "steps": list(given)}])


def found(document: object, **parameters: Any) -> dict[str | None, str]:
    with pytest.raises(Verdict) as caught:
        parse_suite(document, parameters)
    assert all(problem.next for problem in caught.value.problems)
    return {problem.path: problem.code for problem in caught.value.problems}


def first_claim(parsed: ParsedSuite) -> Any:
    step = parsed.suite.cases[0].steps[0]
    assert isinstance(step, AssertStep)
    return step.assertion


def test_the_smallest_suite_has_one_machine() -> None:
    parsed = parse_suite(suite())
    assert [slot["name"] for slot in parsed.document["slots"]] == ["primary"]


def test_keys_in_either_spelling_give_the_same_suite() -> None:
    snake = steps({"action": "put_file", "path": "/x", "text": "t", "owner": "root"})
    camel = {"Name": "smoke", "Cases": [{"Name": "c", "Steps": [{"action": "put_file", "Path": "/x", "Text": "t"}]}]}
    assert parse_suite(snake).document == parse_suite(camel).document


def test_the_canonical_form_is_its_own_canonical_form() -> None:
    document = suite(
        slots=["primary", {"name": "client", "memory": 512}],
        parameters=[{"name": "port", "default": 80}],
        setup=[{"type": "port_listening", "params": {"port": "${param:port}"}, "within": 5, "not": True}],
    )
    once = parse_suite(document).document
    assert parse_suite(once).document == once
    assert once["setup"][0]["assertion"]["params"]["port"] == "${param:port}"


def test_an_assertion_alone_is_the_step_that_asserts_it() -> None:
    short = {"type": "service_running", "params": {"service": "nginx"}, "slot": "primary", "description": "nginx runs"}
    long = {
        "action": "assert",
        "slot": "primary",
        "description": "nginx runs",
        "assertion": {"type": "service_running", "params": {"service": "nginx"}},
    }
    assert parse_suite(steps(short)).document == parse_suite(steps(long)).document


def test_parameters_keep_their_type_where_they_stand_alone() -> None:
    document = steps({"type": "port_listening", "params": {"port": "${param:port}"}})
    document["parameters"] = [{"name": "port", "default": 80}]
    assert first_claim(parse_suite(document)).params.port == 80
    assert first_claim(parse_suite(document, {"port": 8080})).params.port == 8080
    assert found(document, port="8080") == {"parameters.port": "suite.wrong_type"}
    assert found(document, prot=1) == {"parameters.prot": "suite.unknown_parameter"}
    assert found(document, port=99999) == {"cases[0].steps[0].assertion.params.port": "suite.bad_value"}


def test_a_wrong_value_that_spells_out_a_reference_is_refused_like_another() -> None:
    assert found(suite(name="$${param:x}")) == {"name": "suite.bad_value"}
    assert found(suite(name="${param:x}")) == {"name": "suite.unknown_parameter"}


def test_references_are_filled_in_where_they_are_part_of_a_text() -> None:
    document = steps({"type": "http_responds", "params": {"url": "http://${slot:web}:${param:port}/"}})
    document["parameters"] = [{"name": "port", "default": 8080}]
    assert first_claim(parse_suite(document)).params.url == "http://web.internal:8080/"


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("echo $${param:x}", "echo ${param:x}"),
        ("echo ${HOME} ${param:-x}", "echo ${HOME} ${param:-x}"),
        ("${param:yes}", "true"),
        ("a ${param:yes} b", "a true b"),
    ],
)
def test_what_belongs_to_a_shell_is_left_to_it(text: str, becomes: str) -> None:
    document = steps({"action": "command", "argv": ["sh", "-c", f"{text} "]})
    document["parameters"] = [{"name": "yes", "default": True}]
    assert parse_suite(document).suite.cases[0].steps[0].argv[2] == f"{becomes} "  # type: ignore[union-attr]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    document: dict[str, Any] = {
        "name": "Not A Name",
        "slots": [{"name": "Big"}],
        "parameters": [{"name": "p", "default": 1.5}],
        "case": [],
        "predefined": ["reboot"],
        "cases": [
            {
                "name": "x",
                "steps": [
                    {"action": "asert"},
                    {"type": "port_listenin", "params": {}},
                    {"action": "assert", "assertion": {"type": "port_listening", "params": {"port": "${param:q}"}}},
                    {"nothing": 1},
                ],
            }
        ],
    }
    assert found(document) == {
        "name": "suite.bad_value",
        "slots[0].name": "suite.bad_value",
        "parameters[0].default": "suite.wrong_type",
        "case": "suite.unknown_key",
        "predefined[0]": "suite.bad_value",
        "cases[0].steps[0].action": "suite.unknown_action",
        "cases[0].steps[1].assertion.type": "suite.unknown_assertion",
        "cases[0].steps[2].assertion.params.port": "suite.unknown_parameter",
        "cases[0].steps[3].action": "suite.missing_key",
    }


def test_a_misspelt_word_comes_with_the_right_one() -> None:
    with pytest.raises(Verdict) as caught:
        parse_suite(steps({"action": "comand"}))
    assert caught.value.problems[0].suggestions == ("command",)


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"slots": ["a", "a"]}, "slots[1].name", "suite.duplicate"),
        ({"predefined": ["boot", "boot"]}, "predefined[1]", "suite.duplicate"),
        ({"slots": [f"s{i}" for i in range(9)]}, "slots", "suite.bad_value"),
        ({"slots": []}, "slots", "suite.bad_value"),
        ({"cases": [{"name": "setup", "steps": [{"action": "command", "argv": ["true"]}]}]}, "cases[0].name",
         "suite.bad_value"),
        ({"setup": [{"action": "command"}]}, "setup[0]", "suite.bad_value"),
        ({"setup": [{"action": "command", "command": "x", "argv": ["x"]}]}, "setup[0]", "suite.bad_value"),
        ({"setup": [{"action": "command", "command": "x", "matches": "("}]}, "setup[0].matches", "suite.bad_value"),
        ({"setup": [{"action": "put_file", "path": "etc", "text": ""}]}, "setup[0].path", "suite.bad_value"),
        ({"setup": [{"action": "put_file", "path": "/x"}]}, "setup[0].text", "suite.missing_key"),
        ({"setup": [{"action": "wait", "until": {"type": "port_listening", "params": {"port": 0}}}]},
         "setup[0].until.params.port", "suite.bad_value"),
        ({"setup": [{"type": "http_responds", "params": {"url": "http://x:0/"}}]},
         "setup[0].assertion.params.url", "suite.bad_value"),
        ({"name": None}, "name", "suite.wrong_type"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_pointed_at(change: dict[str, Any], path: str, code: str) -> None:
    assert found(suite(**change)) == {path: code}


def test_too_many_steps_are_refused() -> None:
    many = [{"name": f"c{i}", "steps": [{"action": "command", "command": "true"}] * 100} for i in range(6)]
    assert found(suite(cases=many)) == {"cases": "suite.too_large"}


def test_a_document_that_is_too_large_is_refused_by_its_size() -> None:
    large = steps(*[{"action": "put_file", "path": "/x", "text": "x" * 60_000}] * 5)
    assert len(json.dumps(large)) > MAX_BYTES
    assert found(large) == {None: "suite.too_large"}


@pytest.mark.parametrize("document", [None, "smoke", [], 7, {"name": {"a": float("nan")}}, {"name": object()}])
def test_what_is_no_document_is_refused(document: object) -> None:
    assert found(document) == {None: "suite.not_a_document"}


HOSTILE = [
    "$(touch /tmp/owned)", "`id`", "; rm -rf /", "| nc", "&& true", "a\nb", "a\x00b", "../../etc", "--flag", "'", '"',
    "\u202e", "\x1b]0;x\x07", "${slot:", "${param:}", "x" * 5000, "{{7*7}}", "%s%n", "-", ".",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("where", ["name", "slot", "case", "tag", "parameter", "service"])
def test_hostile_names_are_refused_wherever_a_name_is_due(where: str, text: str) -> None:
    document = suite()
    match where:
        case "name":
            document["name"] = text
        case "slot":
            document["slots"] = [{"name": text}]
        case "case":
            document["cases"][0]["name"] = f"${text}"
        case "tag":
            document["cases"][0]["tags"] = [text.upper() + "/"]
        case "parameter":
            document["parameters"] = [{"name": text, "default": ""}]
        case _:
            document["setup"] = [{"type": "service_running", "params": {"service": f"/{text}"}}]
    with pytest.raises(Verdict):
        parse_suite(document)


def test_hostile_text_of_a_command_stays_data() -> None:
    for text in HOSTILE:
        if "\x00" in text:
            continue
        parsed = parse_suite(steps({"action": "command", "argv": ["echo", text]}))
        assert parsed.suite.cases[0].steps[0].argv == ("echo", text)  # type: ignore[union-attr]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(["name", "slots", "parameters", "predefined", "setup", "cases", "teardown"])


@given(st.dictionaries(keys, json_values, max_size=7))
def test_whatever_is_sent_is_a_suite_or_a_list_of_problems(document: dict[str, Any]) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        parsed = parse_suite(document)
        assert parse_suite(parsed.document).document == parsed.document
    except Verdict as verdict:
        problems = verdict.problems
    assert all(problem.code.startswith("suite.") for problem in problems)
