"""The edge on real servers: pages, downloads in parts, and what it refuses."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from domain.console import ConsoleGrant
from infra.objects import S3ObjectStore
from infra.signed_links import LinkSigner
from service.admission.database import AdmissionDatabase
from service.admission.grants import ConsoleGrants
from tests.integration.front_stack import FrontStack

pytestmark = pytest.mark.integration

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = "my image ü.qcow2"
SIZE = len(CONTENT)


@pytest.fixture
async def store(front_stack: FrontStack) -> AsyncGenerator[S3ObjectStore]:
    objects = S3ObjectStore(front_stack.s3)
    await objects.ensure_bucket()
    await objects.put(f"blobs/{DIGEST}", CONTENT)
    yield objects
    await objects.aclose()


@pytest.fixture
async def http(front_stack: FrontStack) -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(front_stack.url) as session:
        yield session


def link(stack: FrontStack, *, digest: str = DIGEST, name: str = NAME, minutes: int = 60) -> str:
    signer = LinkSigner(stack.secrets.signing_key())
    expires_at = datetime.now(UTC) + timedelta(minutes=minutes)
    return f"/download/{signer.sign(key=f'blobs/{digest}', name=name, expires_at=expires_at)}/{name}"


async def test_the_front_page_tells_the_state_and_how_to_connect(
    http: aiohttp.ClientSession, front_stack: FrontStack
) -> None:
    async with http.get("/") as answer:
        page = await answer.text()
    assert answer.status == 200
    assert "every part answers" in page
    assert f"{front_stack.url}/mcp-stream/mcp" in page
    assert "&lt;your key&gt;" in page
    assert front_stack.secrets.operator_key() not in page
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert page.count("<script") == 2
    assert "style=" not in page
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "OpenFactory"


async def test_all_that_the_page_needs_comes_from_the_edge(http: aiohttp.ClientSession) -> None:
    async with http.get("/") as answer:
        page = await answer.text()
    found = [part.split('"')[0] for name in ("href", "src") for part in page.split(f'{name}="')[1:]]
    assert "/static/console/copy.js" in found
    for address in found:
        assert address.startswith("/"), address
        async with http.get(address) as answer:
            assert answer.status == 200, address


async def test_a_part_that_is_down_is_named(http: aiohttp.ClientSession, front_stack: FrontStack) -> None:
    front_stack.stop("mcp_server", signal.SIGKILL)
    try:
        async with asyncio.timeout(30):
            while "1 of 4 parts does not answer" not in await _front_page(http):
                pass  # the page remembers the state for two seconds
    finally:
        front_stack.start("mcp_server")


async def _front_page(http: aiohttp.ClientSession) -> str:
    async with http.get("/") as answer:
        return await answer.text()


async def test_pages_that_are_not_there_say_so_to_people_and_programs(http: aiohttp.ClientSession) -> None:
    async with http.get("/nope", headers={"Accept": "text/html"}) as answer:
        assert answer.status == 404
        assert "There is no such page." in await answer.text()
    async with http.get("/nope") as answer:
        assert (await answer.json())["code"] == "page.not_found"
    async with http.post("/") as answer:
        assert answer.status == 405


@pytest.mark.parametrize("path", ["/", "/healthz", "/nope", "/download/a/b", "/static/style.css"])
async def test_a_name_that_is_not_the_factorys_is_refused_everywhere(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path, headers={"Host": "evil.example"}) as answer:
        assert answer.status == 421
    async with http.get(path, headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403


async def test_a_whole_file_is_sent_with_its_digest(
    http: aiohttp.ClientSession, front_stack: FrontStack, store: S3ObjectStore
) -> None:
    async with http.get(link(front_stack)) as answer:
        assert answer.status == 200
        assert hashlib.sha256(await answer.read()).hexdigest() == DIGEST
        assert answer.headers["ETag"] == f'"{DIGEST}"'
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''my%20image%20%C3%BC.qcow2"
        assert answer.headers["Content-Length"] == str(SIZE)
    async with http.head(link(front_stack)) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(SIZE))
        assert await answer.read() == b""


@pytest.mark.parametrize(
    ("asked", "offset", "length"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, SIZE - 100),
        ("bytes=-10", SIZE - 10, 10),
        (f"bytes={SIZE - 1}-{SIZE + 999}", SIZE - 1, 1),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
    ],
)
async def test_a_part_is_sent_as_that_part(
    http: aiohttp.ClientSession, front_stack: FrontStack, store: S3ObjectStore, asked: str, offset: int, length: int
) -> None:
    async with http.get(link(front_stack), headers={"Range": asked}) as answer:
        assert answer.status == 206
        assert await answer.read() == CONTENT[offset : offset + length]
        assert answer.headers["Content-Range"] == f"bytes {offset}-{offset + length - 1}/{SIZE}"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": f"bytes={SIZE}-"}, 416),
        ({"Range": "bytes=-0"}, 416),
        ({"Range": "bytes=5-2"}, 200),
        ({"Range": "bytes=0-1,4-5"}, 200),
        ({"Range": "lines=0-1"}, 200),
        ({"Range": "bytes=0-1", "If-Range": f'"{DIGEST}"'}, 206),
        ({"Range": "bytes=0-1", "If-Range": '"other"'}, 200),
        ({"Range": "bytes=0-1", "If-Range": f'W/"{DIGEST}"'}, 200),
        ({"If-None-Match": f'W/"{DIGEST}"'}, 304),
        ({"If-None-Match": '"other"'}, 200),
    ],
)
async def test_conditions_are_judged_as_the_standard_says(
    http: aiohttp.ClientSession, front_stack: FrontStack, store: S3ObjectStore, headers: dict[str, str], status: int
) -> None:
    async with http.get(link(front_stack), headers=headers) as answer:
        await answer.read()
        assert answer.status == status
        if status == 416:
            assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


async def test_links_that_do_not_hold_are_refused_in_words(
    http: aiohttp.ClientSession, front_stack: FrontStack, store: S3ObjectStore
) -> None:
    good = link(front_stack)
    _, _, token, name = good.split("/")
    swapped = token[:-2] + ("AA" if not token.endswith("AA") else "BB")
    cases = [
        (link(front_stack, minutes=-1), 410, "link.expired"),
        (f"/download/{swapped}/{name}", 403, "link.invalid"),
        (f"/download/{token}/other.qcow2", 403, "link.invalid"),
        ("/download/x/y", 403, "link.invalid"),
        (link(front_stack, digest="0" * 64), 410, "object.not_found"),
    ]
    for path, status, code in cases:
        async with http.get(path) as answer:
            assert (answer.status, (await answer.json())["code"]) == (status, code)
        async with http.get(path, headers={"Accept": "text/html"}) as answer:
            assert "<h1>" in await answer.text()


async def test_a_large_file_passes_through_in_little_memory(
    http: aiohttp.ClientSession, front_stack: FrontStack, store: S3ObjectStore, tmp_path: Path
) -> None:
    block = os.urandom(1 << 20)
    large = tmp_path / "large"
    with large.open("wb") as file:
        for _ in range(96):
            file.write(block)
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    await store.put_file(f"blobs/{digest}", large)
    before = front_stack.peak_memory("console")
    seen = hashlib.sha256()
    async with http.get(link(front_stack, digest=digest)) as answer:
        async for chunk in answer.content.iter_chunked(1 << 16):
            seen.update(chunk)
    assert seen.hexdigest() == digest
    assert front_stack.peak_memory("console") - before < 32 << 20


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(
    http: aiohttp.ClientSession, front_stack: FrontStack, store: S3ObjectStore
) -> None:
    for _ in range(20):
        async with http.get(link(front_stack)) as answer:
            await answer.content.read(10)
            answer.close()
    async with http.get(link(front_stack)) as answer:
        assert len(await answer.read()) == SIZE


async def test_a_console_link_opens_once_and_one_of_a_machine_that_is_gone_says_so(
    http: aiohttp.ClientSession, front_stack: FrontStack
) -> None:
    grant = ConsoleGrant(org_id="local", subject="operator", vm_id="gone", channel="vnc", mode="view")
    async with AdmissionDatabase(front_stack.admission_url) as database:
        link = await ConsoleGrants(database).mint(grant)
    for code in ("vm.not_found", "console.token_invalid", "console.token_invalid"):
        async with http.get(f"/console/{link.token}") as answer:
            assert (answer.status, (await answer.json())["code"]) == (410, code)


async def test_the_button_makes_a_guest_who_may_ask_at_once(
    http: aiohttp.ClientSession, front_stack: FrontStack
) -> None:
    async with http.get("/") as answer:
        assert 'action="/guest"' in await answer.text()
        assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
    async with http.post("/guest", headers={"Accept": "text/html"}) as answer:
        assert answer.status == 200
        page = await answer.text()
        kept = {"openfactory_guest": answer.cookies["openfactory_guest"].value}  # aiohttp keeps none of an address
    async with http.post("/guest", cookies=kept) as answer:
        made = await answer.json()
        assert answer.headers["Cache-Control"] == "no-store"
    assert made["token"] in page  # the browser has the same one again
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"Accept": "application/json, text/event-stream", "X-Guest-Id": made["token"]}
    async with http.post("/mcp-stream/mcp", json=ask, headers=headers) as answer:
        assert answer.status == 200
        listed = await answer.text()
    assert "create_build" in listed
    assert "create_test_suite" not in listed
    async with http.post("/mcp-stream/mcp", json=ask, headers=headers | {"X-Guest-Id": "ofg_x"}) as answer:
        assert answer.status == 401
        assert (await answer.json())["code"] == "guest.invalid"
    async with http.post("/guest", headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403
    for module in ("console", "mcp_server"):
        assert made["token"] not in (front_stack.home / f"{module}.log").read_text()


async def test_the_edge_stops_when_told_to_and_its_log_has_no_token(front_stack: FrontStack) -> None:
    assert front_stack.stop("console") == 0
    text = (front_stack.home / "console.log").read_text()
    assert "/download/" not in text
    assert "/console/" not in text
    assert "Traceback" not in text
    front_stack.start("console")
