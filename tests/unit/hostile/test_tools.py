"""Every tool with arguments made from its own schema, and with what people and programs make of those."""

import asyncio
import json
from collections.abc import Generator
from typing import Any, Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult

from domain.errors import Problem
from domain.image.commands import ReceiveImage, RequestImage
from domain.image.inputs import ImageRequest
from domain.recipe.edits import EDITS
from domain.vm.commands import RecordSnapshot
from mcp_server.server import build_tools
from service.admission.credentials import OPERATOR
from tests.fakes.factory import GUEST, World, failed, published, recipe_document
from tests.fakes.suites import SUITE, asked_run, kept_suite, plan_of_cases
from tests.hostile import NASTY, ODD, check_problems, nested, of_schema, spoilt
from tests.machines import request

ID = "11111111-1111-4111-8111-111111111111"
BUILT = "33333333-3333-4333-8333-333333333333"
UPLOADED = ImageRequest(
    image_id=ID, org_id="local", requested_by="operator", name="x.qcow2", format="qcow2", bytes=10, sha256="ab" * 32
)
# What is wrong with a document as a whole, or with nothing that was sent, has no path.
PATHLESS: Final = frozenset(
    {
        "permission.denied",
        "recipe.not_a_document",
        "recipe.too_large",
        "recipe.missing_key",
        "suite.not_a_document",
        "suite.too_large",
        "suite.missing_key",
    }
)
FEW, MANY = 12, 600


class Caller:
    """Calls tools in this process, as the server does."""

    def __init__(self) -> None:
        self.world = World()
        self._who = OPERATOR
        self.tools: dict[str, Tool] = {tool.name: tool for tool in build_tools(self.world.factory, lambda _: self._who)}
        self._runner = asyncio.Runner()
        world = self.world
        world.build(failed(ID), build_id=ID)
        world.build(published(BUILT), build_id=BUILT)
        kept_suite(world.tests, ID)
        asked_run(world.tests, ID, plan_of_cases("web"))
        world.vms.have(request(ID, org_id="local"))
        world.vms.tell(ID, RecordSnapshot(snapshot_id=ID, name="x", memory=True, bytes=1, seconds=1.0))
        for command in (RequestImage(request=UPLOADED, upload_seconds=60), ReceiveImage()):
            world.images.do(ID, command)

    def call(self, tool: str, arguments: Any, *, guest: bool = False) -> CallToolResult:
        """Call it, and hold that the answer can be sent and, if it is an error, helps."""
        self._who = GUEST if guest else OPERATOR
        result = cast("CallToolResult", self._runner.run(self.tools[tool].run(arguments, _unheard())))
        json.loads(result.model_dump_json(by_alias=True))
        if result.is_error:
            assert result.structured_content is not None
            listed: list[dict[str, Any]] = result.structured_content["problems"]
            check_problems([Problem.model_validate(each) for each in listed], pathless=PATHLESS)
        return result

    def close(self) -> None:
        self._runner.close()


class _Silent:
    """A session that nobody listens to."""

    async def report_progress(self, *_: object) -> None: ...


def _unheard() -> Context[Any, Any]:
    """Make the context of a call whose client hears no progress."""
    asked = ServerRequestContext[Any, Any](
        session=cast("Any", _Silent()), lifespan_context={}, protocol_version="2026-07-28", method="tools/call"
    )
    return Context[Any, Any](request_context=asked)


CALLER = Caller()
TOOLS = sorted(CALLER.tools)


@pytest.fixture(autouse=True, scope="module")
def _closed() -> Generator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    yield
    CALLER.close()


def sound_arguments(tool: str) -> st.SearchStrategy[Any]:
    """Make what the schema takes; ids are often of something that is there."""
    ids = st.sampled_from([ID, ID, BUILT, "99999999-9999-4999-8999-999999999999", "x"])
    recipes = st.sampled_from([recipe_document(), "minimal-bookworm", json.dumps(recipe_document())])
    properties = CALLER.tools[tool].parameters["properties"]
    names = {name: ids for name in properties if name.endswith("_id")}
    documents = {"recipe": recipes, "suite": st.sampled_from([SUITE, json.dumps(SUITE)])}
    moments = {"wait_s": st.floats(0, 0.01)} if "wait_s" in properties else {}  # these are really waited for
    return of_schema(CALLER.tools[tool].parameters, {**names, **documents, **moments})


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_answers_whatever_it_is_given(tool: str) -> None:
    sound = sound_arguments(tool)

    @settings(max_examples=FEW)
    @given(st.one_of(sound, spoilt(sound)), st.booleans())
    def holds(arguments: Any, guest: bool) -> None:
        if isinstance(arguments, dict):
            CALLER.call(tool, arguments, guest=guest)

    holds()


@st.composite
def chained_edits(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Make edits of which each may reach into what those before put in, in either spelling of a key."""
    edits: list[dict[str, Any]] = []
    places = ["x", "users", "users.deploy", "services.ssh.config", "startup_scripts", "base_image"]
    for _ in range(draw(st.integers(1, 12))):
        keys = draw(st.lists(st.sampled_from(["a", "sshKeys", "ssh_keys", "config", "ssh"]), max_size=3))
        depth = draw(st.sampled_from([0, 1, 5, 29, 31, 32, 150, 400]))
        value = draw(st.one_of(ODD, st.just({"username": "deploy"}), st.just([{"username": "deploy"}])))
        for key in ["a"] * depth:
            value = {key: value}
        edit = draw(st.sampled_from(["set", "set", "set", *EDITS]))
        place = ".".join([draw(st.sampled_from(places)), *keys])
        edits.append({"edit": edit, "path": place, "value": value, "name": "ssh", "username": "deploy"})
        places.append(".".join([place, *["a"] * depth]))
    return edits


CHAINED: Final = st.tuples(
    chained_edits(), st.one_of(st.none(), st.dictionaries(st.sampled_from(["users", "startupScripts", "x"]), ODD))
)


def customize(examples: int) -> None:
    """Give edits, after a patch or without, to a small and to a full recipe; what comes out can always be sent."""

    @settings(max_examples=examples)
    @given(CHAINED, st.sampled_from(["minimal-bookworm", "demo"]))
    def holds(changes: tuple[list[dict[str, Any]], dict[str, Any] | None], recipe: str) -> None:
        edits, patch = changes
        answer = CALLER.call("customize_recipe", {"recipe": recipe, "edits": edits, "patch": patch})
        assert answer.structured_content is not None
        listed = [Problem.model_validate(each) for each in answer.structured_content["problems"]]
        if listed:
            check_problems(listed, pathless=PATHLESS)

    holds()


def test_edits_that_reach_into_one_another_are_answered() -> None:
    customize(FEW * 5)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_edits_that_reach_into_one_another_are_answered_hundreds_of_times() -> None:
    customize(MANY)


@pytest.mark.parametrize("tool", TOOLS)
def test_no_argument_takes_what_has_broken_programs_before(tool: str) -> None:
    required = dict.fromkeys(CALLER.tools[tool].parameters.get("required", ()), ID)
    for name in CALLER.tools[tool].parameters["properties"]:
        for odd in (*NASTY, float("nan"), float("inf"), 10**400, -1, nested(60), {}, [], {"": None}, True, [None]):
            CALLER.call(tool, {**required, name: odd})


@pytest.mark.parametrize("name", ["", "9" * 5_000, "\x1b[0m", "a" * 65])
@pytest.mark.parametrize("value", [float("nan"), "\0", "\ud800", {"": "\0"}])
def test_no_name_of_an_argument_does_either(name: str, value: object) -> None:
    for tool in ("create_vm", "list_builds"):
        assert CALLER.call(tool, {name: value}).is_error


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_answers_whatever_it_is_given_hundreds_of_times(tool: str) -> None:
    sound = sound_arguments(tool)

    @settings(max_examples=MANY)
    @given(st.one_of(sound, spoilt(sound)), st.booleans())
    def holds(arguments: Any, guest: bool) -> None:
        if isinstance(arguments, dict):
            CALLER.call(tool, arguments, guest=guest)

    holds()
