"""Raw requests that no client of ours sends, at the real gateway: each gets an answer in words, none is a fault."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from infra.objects import S3ObjectStore
from infra.signed_links import LinkSigner
from infra.uploads import UploadGrant, UploadSigner
from tests.integration.front_stack import FrontStack

pytestmark = pytest.mark.integration

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}'
BODIES = (
    b"",
    b"x",
    b"[" * 200_000,
    b'{"a":' * 50_000,
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_builds","arguments":{"limit":NaN}}}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_builds","arguments":{"limit":1e400}}}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_builds","arguments":{"name":"\\ud800"}}}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_builds","arguments":{"name":"\\u0000"}}}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_vms","arguments":{"cursor":"\\u0000"}}}',
    b'{"jsonrpc":"2.0","id":{},"method":[],"params":7}',
    b'{"jsonrpc":"2.0","id":1,"method":"\\u0000","params":{}}',
    b"\xff\xfe\x00",
    b"[" + b",".join([CALL] * 500) + b"]",
    b" " * (3 << 20),
)
PATHS = (
    "/download/..%2f..%2fetc%2fpasswd/x",
    "/download/%00/%00",
    "/download/x/..%2f..%2f..%2fetc%2fpasswd",
    "/download/" + "A" * 4000 + "/x",
    "/download/%ff%fe/%ed%a0%80",
    "/console/..%2f..%2fetc",
    "/console/%00",
    "/console/" + "A" * 4000,
    "/upload/..%2f..%2f",
    "/upload/%00",
    "/static/vendor/../../../../etc/passwd",
    "/static/vendor/..%2f..%2f..%2fetc%2fpasswd",
    "/static/console/%00",
    "/static/vendor/" + "a/" * 2000,
    "//etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/mcp-stream/../../etc/passwd",
    "/mcp-stream/%2e%2e/healthz",
    "/" + "%00" * 100,
)


async def raw(stack: FrontStack, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send bytes and read the answer to its end; 0 if the connection was closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.gateway_port)
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(head.encode("latin-1") + b"\r\n" + body)
            await writer.drain()
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()
    status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0
    return status, answer


def head(method: str, path: str, stack: FrontStack, **headers: str) -> str:
    """Make a request's head."""
    fields = {"Host": f"127.0.0.1:{stack.gateway_port}", "Connection": "close", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, ""])


def authorized(stack: FrontStack, body: bytes, **headers: str) -> str:
    """Make the head of a call with the operator's key."""
    fields = {
        "Authorization": f"Bearer {stack.secrets.operator_key()}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Content-Length": str(len(body)),
    }
    return head("POST", "/mcp-stream/mcp", stack, **{**fields, **headers})


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_no_body_is_too_strange(front_stack: FrontStack, body: bytes) -> None:
    status, answer = await raw(front_stack, authorized(front_stack, body), body)
    assert 200 <= status < 500 or (status == 0 and len(body) > 1 << 20), answer[:500]
    assert b"factory.internal" not in answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "OPTIONS", "BREW"])
async def test_no_path_leads_out_and_none_is_a_fault(front_stack: FrontStack, path: str, method: str) -> None:
    status, answer = await raw(front_stack, head(method, path, front_stack, Content_Length="0"))
    assert 200 <= status < 500, answer[:500]
    assert b"root:" not in answer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Origin", "http://["),
        ("Origin", "null"),
        ("Origin", "http://127.0.0.1:x"),
        ("Origin", "x" * 4000),
        ("Host", "["),
        ("Host", ""),
        ("Host", "127.0.0.1:99999999"),
        ("Authorization", "Bearer"),
        ("Authorization", "Bearer \xff\xfe"),
        ("Authorization", "Bearer " + "x" * 6000),
        ("X-Guest-Id", "\xff"),
        ("X-Guest-Id", "ofg_" + "A" * 6000),
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/json; charset=utf-16"),
        ("Content-Type", "\xff"),
        ("Content-Encoding", "gzip"),
        ("Accept", "\xff/*;q=x"),
        ("MCP-Protocol-Version", "x"),
        ("MCP-Protocol-Version", "9999-99-99"),
        ("Mcp-Session-Id", "../../x"),
        ("Mcp-Session-Id", "\xff"),
        ("X-Forwarded-For", "' OR 1=1"),
        ("Cookie", "openfactory_guest=\xff; \x01=;;;="),
        ("Range", "bytes=" + "9" * 4000 + "-"),
        ("X-Huge", "x" * 100_000),
    ],
)
async def test_no_header_is_too_strange(front_stack: FrontStack, name: str, value: str) -> None:
    for text in (
        authorized(front_stack, CALL, **{name: value}),
        head("POST", "/guest", front_stack, Content_Length="0", **{name: value}),
        head("GET", "/", front_stack, **{name: value}),
    ):
        status, answer = await raw(front_stack, text, CALL if "mcp-stream" in text else b"")
        assert 200 <= status < 500, answer[:500]
        assert b"factory.internal" not in answer


@pytest.mark.parametrize("offset", ["9" * 5000, "-1", "٣", "1e3", " 1", "0x10", "", "1" * 18])
async def test_no_offset_of_an_upload_is_too_strange(front_stack: FrontStack, offset: str) -> None:
    store = S3ObjectStore(front_stack.s3)
    await store.ensure_bucket()
    await store.aclose()
    grant = UploadGrant(image_id="11111111-1111-4111-8111-111111111111", org_id="local", bytes=10)
    soon = datetime.now(UTC) + timedelta(minutes=5)
    token = UploadSigner(front_stack.secrets.signing_key()).sign(grant, expires_at=soon)
    fields = {"Content_Type": "application/offset+octet-stream", "Content_Length": "1"}
    text = head("PATCH", f"/upload/{token}", front_stack, **fields, Upload_Offset=quote(offset, safe=" ٣") or "")
    status, answer = await raw(front_stack, text.encode().decode("latin-1"), b"x")
    assert status in {400, 409}, answer[:500]
    assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["next"]


async def test_a_links_name_is_bound_to_it_however_it_is_spelled(front_stack: FrontStack) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    token = LinkSigner(front_stack.secrets.signing_key()).sign(key="blobs/x", name="a.iso", expires_at=soon)
    for name in ("a.iso%00", "b/../a.iso", "a.iso/", "A.ISO", "a%2eiso%20", "..%2fa.iso"):
        status, _ = await raw(front_stack, head("GET", f"/download/{token}/{name}", front_stack))
        assert status in {403, 404}, name


@pytest.mark.parametrize(
    "text",
    [
        "GET\r\n",
        "GET / HTTP/9.9\r\nHost: x\r\n",
        "GET / HTTP/1.1\r\n",
        "POST /guest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n",
        "POST /guest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "POST /guest HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n",
        "GET / HTTP/1.1\r\nHost : 127.0.0.1\r\n",
        "\0\0\0\0",
        "x" * 100_000,
    ],
)
async def test_what_is_hardly_http_is_refused_and_the_next_is_served(front_stack: FrontStack, text: str) -> None:
    with contextlib.suppress(TimeoutError):
        status, answer = await asyncio.wait_for(raw(front_stack, text), 10)
        assert status < 500, answer[:500]
    assert (await raw(front_stack, head("GET", "/healthz", front_stack)))[0] == 200
