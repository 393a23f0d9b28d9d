"""Prompts, resources and completions with names and arguments of every kind: answered, or refused as invalid."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference

from domain.build.steps import STEPS
from domain.errors import Problem
from mcp_server.prompts import PROMPT_TOOLS
from mcp_server.server import build_server
from service.admission.credentials import OPERATOR
from tests.fakes.factory import GUEST, World, failed, published
from tests.fakes.suites import asked_run, plan_of_cases
from tests.hostile import NASTY, WORDS, check_problems

ID: Final = "11111111-1111-4111-8111-111111111111"
MODES: Final = ("2026-07-28", "legacy")
REFUSED: Final = {-32602, -32002}  # invalid params, and a resource that is not there
FEW, MANY = 40, 600
TEMPLATES: Final = (
    "recipe://{name}",
    "build://{build_id}",
    "build://{build_id}/log",
    "build://{build_id}/log/{step}",
    "build://{build_id}/artifacts",
    "test-run://{run_id}",
)
ARGUMENTS: Final = ("recipe", "base_image", "build_id", "step", "run_id", "name", "wishes", "count", "checks", "slots")


def sendable(text: str) -> bool:
    """Whether a client can send it at all: half of a surrogate pair is no character."""
    return text == text.encode(errors="replace").decode()


BROKEN: Final = [text for text in NASTY if sendable(text)]
TEXTS: Final = WORDS.filter(sendable)
KNOWN: Final = st.sampled_from([ID, ID[:4], "latest", "latest-verified", "demo", "latest:demo", *STEPS])
VALUES: Final = st.one_of(TEXTS, KNOWN)
PROMPTS: Final = st.tuples(
    st.one_of(st.sampled_from(sorted(PROMPT_TOOLS)), TEXTS),
    st.one_of(st.none(), st.dictionaries(st.one_of(st.sampled_from(ARGUMENTS), TEXTS), VALUES, max_size=5)),
)


def uri_of(parts: list[str]) -> str:
    """Make a URI of a template, with one part of it for each of its variables, escaped or as it is."""
    template, *values = parts
    for name in ("name", "build_id", "run_id", "step"):
        template = template.replace(f"{{{name}}}", values.pop() if values else "")
    return template


ESCAPED: Final = st.one_of(VALUES.map(lambda text: quote(text[:2_000], safe="")), VALUES)
URIS: Final = st.one_of(
    st.tuples(st.sampled_from(TEMPLATES), ESCAPED, ESCAPED, ESCAPED, ESCAPED).map(lambda parts: uri_of(list(parts))),
    TEXTS,
)
COMPLETIONS: Final = st.tuples(
    st.one_of(
        st.one_of(st.sampled_from(TEMPLATES), TEXTS).map(lambda uri: ResourceTemplateReference(uri=uri)),
        st.one_of(st.sampled_from(sorted(PROMPT_TOOLS)), TEXTS).map(lambda name: PromptReference(name=name)),
    ),
    st.one_of(st.sampled_from(ARGUMENTS), TEXTS),
    VALUES,
)


class _Errors(logging.Handler):
    """Keeps what is logged with a traceback or as an error."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.levelno >= logging.ERROR:
            self.found.append(f"{record.name}: {record.getMessage()}"[:500])


class Conversation:
    """A client of each protocol over one factory in memory, open for all that is asked."""

    def __init__(self) -> None:
        self.caller = OPERATOR
        self._world = World()
        self._world.build(published(ID), failed(ID), build_id=ID)
        self._world.logs.write(ID, "it fails", step="boot")
        asked_run(self._world.tests, ID, plan_of_cases("web"))
        self._clients: dict[str, Client] = {}
        self._runner = asyncio.Runner()
        self._errors = _Errors()
        logging.getLogger().addHandler(self._errors)
        self._ready, self._end = asyncio.Event(), asyncio.Event()
        self._open = self._runner.get_loop().create_task(self._keep_open())
        self._runner.run(self._opened())

    def ask(self, question: Callable[[Client], Awaitable[Any]], *, guest: bool) -> None:
        """Ask both; hold that each answers or refuses as invalid, and that nobody sees a traceback."""
        self.caller = GUEST if guest else OPERATOR
        for mode in MODES:
            try:
                self._runner.run(_within(question(self._clients[mode])))
            except MCPError as refused:
                check_refusal(refused)
            assert not self._errors.found, self._errors.found.pop()

    def close(self) -> None:
        self._end.set()
        self._runner.run(_within(self._open))
        self._runner.close()
        logging.getLogger().removeHandler(self._errors)

    async def _opened(self) -> None:
        opened = asyncio.create_task(self._ready.wait())
        await asyncio.wait({opened, self._open}, return_when=asyncio.FIRST_COMPLETED)
        assert self._ready.is_set()

    async def _keep_open(self) -> None:
        server = build_server(self._world.factory, lambda _: self.caller)
        async with Client(server, mode=MODES[0]) as new, Client(server, mode=MODES[1]) as old:
            self._clients = dict(zip(MODES, (new, old), strict=True))
            self._ready.set()
            await self._end.wait()


async def _within(question: Awaitable[Any]) -> None:
    await asyncio.wait_for(question, 30)


def check_refusal(refused: MCPError) -> None:
    """Hold that the caller is told what was wrong with the request."""
    error = refused.error
    assert error.code in REFUSED, error
    assert error.message.strip()
    assert len(error.message) < 5_000
    listed = [Problem.model_validate(each) for each in error.data["problems"]]
    check_problems(listed, pathless=frozenset({"permission.denied"}))


@pytest.fixture(scope="module")
def conversation() -> Generator[Conversation]:
    opened = Conversation()
    yield opened
    opened.close()


def prompts(conversation: Conversation, examples: int) -> None:
    @settings(max_examples=examples)
    @given(PROMPTS, st.booleans())
    def hold(asked: tuple[str, dict[str, str] | None], guest: bool) -> None:
        conversation.ask(lambda client: client.get_prompt(*asked), guest=guest)

    hold()


def resources(conversation: Conversation, examples: int) -> None:
    @settings(max_examples=examples)
    @given(URIS, st.booleans())
    def hold(uri: str, guest: bool) -> None:
        conversation.ask(lambda client: client.read_resource(uri), guest=guest)

    hold()


def completions(conversation: Conversation, examples: int) -> None:
    @settings(max_examples=examples)
    @given(COMPLETIONS, st.booleans())
    def hold(asked: tuple[PromptReference | ResourceTemplateReference, str, str], guest: bool) -> None:
        ref, name, typed = asked
        conversation.ask(lambda client: client.complete(ref, {"name": name, "value": typed}), guest=guest)

    hold()


ASKED: Final = (prompts, resources, completions)


@pytest.mark.parametrize("asked", ASKED)
def test_what_is_asked_is_answered_or_refused_as_invalid(
    conversation: Conversation, asked: Callable[[Conversation, int], None]
) -> None:
    asked(conversation, FEW)


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_what_has_broken_programs_before_breaks_no_prompt_resource_or_completion(
    conversation: Conversation, text: str
) -> None:
    for prompt in (*PROMPT_TOOLS, text):
        for given_ in ({}, {text: text}, {"build_id": text}, {"build_id": ID, text: ID}):
            conversation.ask(lambda client, p=prompt, g=given_: client.get_prompt(p, g), guest=False)
    for template in TEMPLATES:
        for part in (text, quote(text[:2_000], safe="")):
            uri = uri_of([template, part, part, ID])
            conversation.ask(lambda client, u=uri: client.read_resource(u), guest=False)
    for ref in (PromptReference(name=text), PromptReference(name="check_recipe")):
        for name in (*ARGUMENTS, text):
            conversation.ask(lambda c, r=ref, n=name: c.complete(r, {"name": n, "value": text}), guest=False)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("asked", ASKED)
def test_what_is_asked_is_answered_or_refused_hundreds_of_times(
    conversation: Conversation, asked: Callable[[Conversation, int], None]
) -> None:
    asked(conversation, MANY)
