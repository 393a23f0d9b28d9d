"""The list of jobs on the front page: behind a key, and of the caller's organization alone."""

from collections.abc import AsyncGenerator
from uuid import uuid4

import aiohttp
import pytest

from event_store.log import EventLog
from tests.integration.consoles.browser import CHROMIUM, browser
from tests.integration.event_store.builders import append, requested, whole_build
from tests.integration.front_stack import FrontStack

pytestmark = pytest.mark.integration


@pytest.fixture
async def http(front_stack: FrontStack) -> AsyncGenerator[aiohttp.ClientSession]:
    # An address of its own: how many guests an address may bring is limited, and other tests bring theirs.
    connector = aiohttp.TCPConnector(local_addr=("127.7.7.7", 0))
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(front_stack.url, connector=connector, cookie_jar=jar) as session:
        yield session


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "auth.required"),
        ({"Authorization": "Bearer x"}, "auth.invalid"),
        ({"X-Guest-Id": "ofg_x"}, "guest.invalid"),
    ],
)
async def test_jobs_are_told_to_nobody_without_a_key(
    http: aiohttp.ClientSession, headers: dict[str, str], code: str
) -> None:
    async with http.get("/jobs", headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, code)
        assert answer.headers["Cache-Control"] == "no-store"
        error = "" if code == "auth.required" else ', error="invalid_token"'
        assert answer.headers["WWW-Authenticate"] == f'Bearer realm="openfactory"{error}'


async def test_jobs_are_those_of_the_callers_organization_the_newest_first(
    http: aiohttp.ClientSession, front_stack: FrontStack
) -> None:
    older, newer, foreign = uuid4(), uuid4(), uuid4()
    whole = tuple(whole_build(older, org="local", name="older", minute=10_000))
    with EventLog(front_stack.database.owner_url) as log:
        append(log, *whole)
        append(log, requested(newer, org="local", name="newer", minute=10_001))
        append(log, requested(foreign, org="other", name="foreign", minute=10_002))
    await front_stack.shown(older, len(whole))
    await front_stack.shown(newer, 1)
    async with http.get("/jobs", headers={"Authorization": f"Bearer {front_stack.secrets.operator_key()}"}) as answer:
        jobs = (await answer.json())["jobs"]
    assert [(job["name"], job["words"], job["rests"]) for job in jobs[:2]] == [
        ("newer", jobs[0]["words"], False),
        ("older", "completed", True),
    ]
    assert jobs[0]["words"].startswith("pending, 0 %")
    assert str(foreign) not in str(jobs)
    async with http.post("/guest") as answer:
        token = (await answer.json())["token"]
    async with http.get("/jobs", headers={"X-Guest-Id": token}) as answer:
        assert await answer.json() == {"jobs": []}


async def test_the_page_may_ask_the_factory_and_nobody_else(http: aiohttp.ClientSession) -> None:
    async with http.get("/") as answer:
        assert "connect-src 'self';" in answer.headers["Content-Security-Policy"]
        assert 'src="/static/console/jobs.js"' in await answer.text()


@pytest.mark.timeout(300)
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; ./openfactory test installs it")
async def test_the_page_says_of_what_cannot_be_a_key_that_it_is_none(front_stack: FrontStack) -> None:
    async with browser() as chromium, chromium.tab() as page:
        await page.open(front_stack.url)
        await page.until("!document.querySelector('#jobs-section').hidden")
        await page.run("document.querySelector('#jobs-key').value = 'clé→'")
        await page.run("document.querySelector('#jobs-form').requestSubmit()")
        await page.until("document.querySelector('#jobs-note').innerText.startsWith('This is no key')")
        assert await page.run("!document.querySelector('#jobs-form').hidden")
        assert await page.run("sessionStorage.length") == 0
