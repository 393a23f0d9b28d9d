"""A shell's language in every text of a recipe: refused, or an argument and a file's content, never a program."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, get_args

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from activities.imaging.stages.system_files import ssh_files, startup_files, sudo_file, system_files
from activities.verification.assertions import check_of
from domain.errors import Verdict
from domain.recipe.assertions import Assertion
from domain.recipe.keys import ASSERTION_TYPES, params_of
from domain.recipe.parse import parse_recipe
from domain.recipe.schema import Recipe

ASSERTION: TypeAdapter[Assertion] = TypeAdapter(Assertion)
CORPUS: Final = (
    "$(touch {canary})",
    "`touch {canary}`",
    "; touch {canary} ;",
    "'; touch {canary}; '",
    '"; touch {canary}; "',
    "| touch {canary}",
    "&& touch {canary}",
    "& touch {canary} &",
    "\ntouch {canary}\n",
    "\r\ntouch {canary}",
    "> {canary}",
    "$IFS$(touch${{IFS}}{canary})",
    "{{touch,{canary}}}",
    "%n%s$(touch {canary})",
    "'); system('touch {canary}'); ('",
    "@{{[`touch {canary}`]}}",
    "${{param:x}}$(touch {canary})",
    "!touch {canary}",
    "-o ProxyCommand=touch${{IFS}}{canary}",
    "--upload-pack=touch {canary}",
    "\\\ntouch {canary}",
    "#\ntouch {canary}",
)
"""Ways in which a text may become a program; `{canary}` is the file that must not appear."""
PREFIXES: Final = ("", "a", "/a", "/a/", "http://127.0.0.1:1/", "net.ipv4.")
# What these say is a program, which the recipe's author meant to run in the guest.
PROGRAMS: Final = {("command_succeeds", "command"), ("command_output", "command")}
BENIGN: Final[dict[str, dict[str, Any]]] = {
    "user_exists": {"username": "ann"},
    "group_exists": {"name": "ann"},
    "service_running": {"service": "nginx"},
    "service_enabled": {"service": "nginx"},
    "process_running": {"name": "nginx"},
    "package_installed": {"package": "nginx"},
    "package_not_installed": {"package": "nginx"},
    "port_listening": {"port": 80},
    "http_responds": {"url": "http://127.0.0.1:1/"},
    "file_exists": {"path": "/etc/hosts"},
    "file_contains": {"path": "/etc/hosts", "contains": "x"},
    "command_succeeds": {"command": "true"},
    "command_output": {"command": "true", "contains": "x"},
    "kernel_parameter": {"name": "quiet"},
    "mount_present": {"path": "/"},
    "sysctl_value": {"name": "kernel.ostype", "value": "Linux"},
    "dns_resolves": {"name": "localhost"},
    "ping_reaches": {"host": "127.0.0.1"},
    "no_failed_units": {},
}


def hostile_claims(canary: str) -> Iterator[tuple[str, str, str, Assertion]]:
    """Make every claim that is taken with a hostile text in one of its fields: type, field, text, claim."""
    for kind in ASSERTION_TYPES:
        for field, about in params_of(kind).model_fields.items():
            several = "tuple" in str(about.annotation)
            for evil in CORPUS:
                for text in (f"{prefix}{evil.format(canary=canary)}" for prefix in PREFIXES):
                    params = {**BENIGN[kind], field: [text] if several else text}
                    with suppress(ValidationError):
                        yield kind, field, text, ASSERTION.validate_python({"type": kind, "params": params})
                        break


def string_fields(model: type[BaseModel]) -> set[str]:
    """Name the fields of a model that are texts or lists of texts."""
    return {name for name, field in model.model_fields.items() if "str" in str(field.annotation)}


def test_every_claim_has_an_example_here() -> None:
    assert set(BENIGN) == set(ASSERTION_TYPES)


def test_no_claims_text_becomes_part_of_the_program_that_looks() -> None:
    taken: set[tuple[str, str]] = set()
    for kind, field, text, claim in hostile_claims("/canary"):
        taken.add((kind, field))
        plain = check_of(ASSERTION.validate_python({"type": kind, "params": BENIGN[kind]}), "suite").probe.argv
        argv = check_of(claim, "suite").probe.argv
        if argv[1:2] in {("-c",), ("-e",)}:
            assert argv[:3] == plain[:3], (kind, field, text)
        else:
            assert argv[0] == plain[0], (kind, field, text)
            assert not argv[0].endswith("sh"), argv[0]
    assert {("file_exists", "path"), ("http_responds", "contains"), *PROGRAMS} <= taken


def recipe_of(**changes: Any) -> dict[str, Any]:
    return {"name": "web", "baseImage": "debian-bookworm", **changes}


@pytest.mark.parametrize("evil", CORPUS)
def test_no_text_of_a_recipe_becomes_part_of_a_file_that_is_not_its_own(evil: str) -> None:
    text = evil.format(canary="/canary")
    script = {"name": "setup", "script": text}
    recipe = parse_recipe(recipe_of(startupScripts=[script], services=[{"name": "ssh"}]))
    assert recipe.ssh is not None
    files = {
        **system_files(recipe, "Types: deb\n"),
        **startup_files(recipe.startupScripts),
        **ssh_files(recipe.ssh),
        **sudo_file("deploy"),
    }
    with_it = {path for path, file in files.items() if "/canary" in file.text}
    assert with_it == {path for path in files if path.endswith(("/setup", "/recipe.json"))}
    assert json.loads(files["/etc/openfactory/recipe.json"].text)["startupScripts"][0]["script"] == text


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("evil", CORPUS)
def test_wherever_a_name_goes_a_shells_language_is_refused(evil: str, prefix: str) -> None:
    text = f"{prefix}{evil.format(canary='/canary')}"
    user = {"username": "deploy"}
    for changes in (
        {"name": text},
        {"baseImage": text},
        {"packages": [text]},
        {"services": [{"name": text}]},
        {"users": [{"username": text}]},
        {"users": [{**user, "groups": [text]}]},
        {"users": [{**user, "shell": text}]},
        {"users": [{**user, "home": text}]},
        {"users": [{**user, "ssh_keys": [text]}]},
        {"users": [{**user, "password_hash": text}]},
        {"startupScripts": [{"name": text, "script": "true"}]},
    ):
        with pytest.raises(Verdict):
            parse_recipe(recipe_of(**changes))


def test_every_text_of_a_recipe_is_one_of_those_above() -> None:
    """Fail when a recipe gets another text that nobody has thought of here."""
    texts = {f"{model.__name__}.{name}" for model in models_of(Recipe) for name in string_fields(model)}
    assert texts == {
        *(f"Recipe.{name}" for name in ("name", "packages")),
        *(f"User.{name}" for name in ("username", "groups", "shell", "home", "ssh_keys", "password_hash")),
        *(
            "UnitService.name",
            "StartupScript.name",
            "StartupScript.script",
            "RecipeTest.description",
        ),
    }


def models_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Find the models in a recipe, but for the claims."""
    yield model
    for field in model.model_fields.values():
        for inner in _inside(field.annotation):
            if not hasattr(inner, "model_fields") or "params" in inner.model_fields:
                continue
            yield from models_of(inner)


def _inside(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _inside(argument)
