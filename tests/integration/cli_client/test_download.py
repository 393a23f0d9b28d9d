import hashlib
import random
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cli.client.failures import ClientFailure, TransferFailed, UsageFailure
from cli.client.transfer import fetch, open_client
from domain.artifacts import DownloadLink

pytestmark = pytest.mark.integration
CONTENT = random.Random(7).randbytes(3_000_000)


class Files:
    """Serves one file with Range, cutting answers and refusing as told."""

    def __init__(self) -> None:
        self.ranges: list[str | None] = []
        self.cuts: list[int] = []
        self.status: int | None = None
        self.knows_ranges = True
        self.server = TestServer(web.Application())
        self.server.app.router.add_get("/file", self._serve)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Range")
        self.ranges.append(given)
        if self.status is not None:
            return web.Response(status=self.status)
        start = int(given.removeprefix("bytes=").rstrip("-")) if given and self.knows_ranges else 0
        response = web.StreamResponse(status=206 if start else 200)
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        response.content_length = len(CONTENT) - start
        await response.prepare(request)
        end = start + self.cuts.pop(0) if self.cuts else len(CONTENT)
        await response.write(CONTENT[start:end])
        if end < len(CONTENT) and request.transport is not None:
            request.transport.close()
        return response

    def link(self, **changes: object) -> DownloadLink:
        given: dict[str, object] = {
            "kind": "qcow2",
            "name": "demo.qcow2",
            "bytes": len(CONTENT),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "verification": "verified",
            "method": "UEFI",
            "url": str(self.server.make_url("/file")),
            "expires_at": datetime(2030, 1, 1, tzinfo=UTC),
        }
        return DownloadLink.model_validate(given | changes)


@pytest.fixture
async def files() -> AsyncGenerator[Files]:
    served = Files()
    await served.server.start_server()
    yield served
    await served.server.close()


async def bring(link: DownloadLink, folder: Path) -> Path:
    async with open_client() as client:
        return await fetch(client, link, folder, lambda _: None)


def names(folder: Path) -> Sequence[str]:
    return sorted(p.name for p in folder.iterdir())


async def test_a_file_arrives_whole_under_its_name_and_leaves_nothing_else(files: Files, tmp_path: Path) -> None:
    path = await bring(files.link(), tmp_path / "new" / "folder")
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["demo.qcow2"]


async def test_a_cut_connection_is_continued_where_it_broke(files: Files, tmp_path: Path) -> None:
    files.cuts = [1_000_000, 500_000]
    path = await bring(files.link(), tmp_path)
    assert path.read_bytes() == CONTENT
    assert files.ranges[0] is None
    assert all(r is not None and r.startswith("bytes=") for r in files.ranges[1:])


async def test_what_an_earlier_command_left_is_continued(files: Files, tmp_path: Path) -> None:
    part = tmp_path / f".demo.qcow2.{files.link().sha256[:12]}.part"
    part.write_bytes(CONTENT[:2_000_000])
    path = await bring(files.link(), tmp_path)
    assert files.ranges == ["bytes=2000000-"]
    assert path.read_bytes() == CONTENT


async def test_a_server_without_ranges_is_read_from_the_beginning(files: Files, tmp_path: Path) -> None:
    files.knows_ranges = False
    files.cuts = [1_000_000]
    assert (await bring(files.link(), tmp_path)).read_bytes() == CONTENT


async def test_a_file_that_is_there_is_not_fetched_again(files: Files, tmp_path: Path) -> None:
    await bring(files.link(), tmp_path)
    await bring(files.link(), tmp_path)
    assert len(files.ranges) == 1


async def test_another_file_of_the_name_is_not_overwritten(files: Files, tmp_path: Path) -> None:
    (tmp_path / "demo.qcow2").write_text("mine")
    with pytest.raises(UsageFailure, match="in_the_way"):
        await bring(files.link(), tmp_path)
    assert (tmp_path / "demo.qcow2").read_text() == "mine"


async def test_wrong_bytes_are_removed_and_never_get_the_name(files: Files, tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match="corrupt") as failure:
        await bring(files.link(sha256="0" * 64), tmp_path)
    assert failure.value.exit_code == 75
    assert names(tmp_path) == []


async def test_a_link_that_is_over_asks_for_a_new_one_and_keeps_what_there_is(files: Files, tmp_path: Path) -> None:
    part = tmp_path / f".demo.qcow2.{files.link().sha256[:12]}.part"
    part.write_bytes(CONTENT[:1000])
    files.status = 410
    with pytest.raises(ClientFailure, match="link_refused"):
        await bring(files.link(), tmp_path)
    assert part.stat().st_size == 1000


async def test_a_server_that_fails_for_good_is_given_up(files: Files, tmp_path: Path) -> None:
    files.status = 500
    with pytest.raises(TransferFailed, match="broke off"):
        await bring(files.link(), tmp_path)
    assert len(files.ranges) == 5


async def test_a_file_shorter_than_promised_is_told(files: Files, tmp_path: Path) -> None:
    with pytest.raises(ClientFailure):
        await bring(files.link(bytes=len(CONTENT) + 10), tmp_path)


async def test_no_more_than_promised_is_kept(files: Files, tmp_path: Path) -> None:
    link = files.link(bytes=1000, sha256=hashlib.sha256(CONTENT[:1000]).hexdigest())
    assert (await bring(link, tmp_path)).read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", ".hidden", "a/b", "", "a\nb"])
async def test_a_name_that_leaves_the_folder_is_refused(files: Files, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageFailure, match="bad_name"):
        await bring(files.link(name=name), tmp_path)
    assert files.ranges == []
