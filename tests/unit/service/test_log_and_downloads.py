"""Logs in small clean parts, and links for one file and one hour."""

from datetime import timedelta
from urllib.parse import unquote, urlsplit

import pytest

from domain.artifacts import Artifact, Blob, Verification
from domain.build import events as e
from domain.errors import Verdict
from service.admission.credentials import OPERATOR
from service.build_log import TEXT_BYTES, LogQuery, get_build_log
from service.downloads import get_download_links, open_download, read_download
from tests.fakes.factory import NOW, STRANGER, World, failed

ID = "11111111-1111-4111-8111-111111111111"
DIGEST = "ab" * 32


def published(verification: Verification = "verified", name: str = "image.qcow2") -> e.ArtifactsPublished:
    artifact = Artifact(kind="qcow2", name=name, blob=Blob(digest=DIGEST, bytes=5), verification=verification)
    return e.ArtifactsPublished(build_id=ID, org_id="local", at=NOW, generation=0, artifacts=(artifact,))


async def test_a_log_is_read_to_its_end_in_parts(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    texts = [f"line {i} " + "x" * 90 for i in range(300)]
    world.logs.write(ID, *texts)
    seen: list[str] = []
    cursor, ended = None, False
    while not ended:
        view = await get_build_log(world.factory, OPERATOR, ID, LogQuery(cursor=cursor))
        assert sum(len(line.text) for line in view.lines) <= TEXT_BYTES
        assert view.truncated is not view.end
        seen += [line.text for line in view.lines]
        cursor, ended = view.next_cursor, view.end
    assert seen == texts


async def test_a_steps_lines_end_where_the_step_ends(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    world.logs.write(ID, "one", step="resolve")
    world.logs.write(ID, "two", step="boot")
    view = await get_build_log(world.factory, OPERATOR, ID, LogQuery(step="resolve", limit=1))
    assert [line.text for line in view.lines] == ["one"]
    assert (view.end, view.truncated) == (True, False)


async def test_the_end_of_a_running_builds_log_is_not_the_end(world: World) -> None:
    world.build(build_id=ID)
    world.logs.write(ID, "one")
    view = await get_build_log(world.factory, OPERATOR, ID, LogQuery())
    assert (view.end, view.truncated, view.untrusted) == (False, False, True)


async def test_a_tail_keeps_the_newest_lines_that_fit(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    world.logs.write(ID, *(f"{i} " + "x" * 500 for i in range(100)))
    view = await get_build_log(world.factory, OPERATOR, ID, LogQuery(tail=50))
    assert view.lines[-1].text.startswith("99 ")
    assert len(view.lines) < 50
    assert view.truncated is True


async def test_lines_are_cleaned_and_clipped(world: World) -> None:
    world.build(build_id=ID)
    world.logs.write(ID, "\x1b[2Jwiped\u202e", "z" * 3000)
    view = await get_build_log(world.factory, OPERATOR, ID, LogQuery())
    assert view.lines[0].text == "wiped"
    assert len(view.lines[1].text) <= 1001
    assert view.truncated is True


async def test_a_text_is_looked_for_with_context_and_line_numbers(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    world.logs.write(ID, "fine", "E: Unable to locate package", "bye", "end")
    view = await get_build_log(world.factory, OPERATOR, ID, LogQuery(search="unable to", context=1))
    assert [(line.line, line.match) for line in view.lines] == [(1, False), (2, True), (3, False)]
    assert view.end is True


async def test_a_range_goes_from_a_line_to_a_time(world: World) -> None:
    world.build(build_id=ID)
    world.logs.write(ID, *"abcdef")  # a millisecond after the other
    query = LogQuery(start="2", end="2030-03-17T17:46:40.003Z")
    view = await get_build_log(world.factory, OPERATOR, ID, query)
    assert "".join(line.text for line in view.lines) == "bcd"
    assert view.end is False


@pytest.mark.parametrize("given", ["", "yesterday", "-1", "9" * 30, "2030-99-01"])
async def test_what_is_neither_a_line_nor_a_time_is_refused(world: World, given: str) -> None:
    world.build(build_id=ID)
    with pytest.raises(Verdict, match=r"log\.bad_range"):
        await get_build_log(world.factory, OPERATOR, ID, LogQuery(start=given))


@pytest.mark.parametrize(("start", "end"), [(4, 2), ("6", 5), ("2030-01-02", "2030-01-01")])
async def test_a_range_that_ends_before_it_starts_is_refused(world: World, start: int | str, end: int | str) -> None:
    world.build(build_id=ID)
    world.logs.write(ID, *"abcdef")
    with pytest.raises(Verdict, match=r"log\.bad_range"):
        await get_build_log(world.factory, OPERATOR, ID, LogQuery(start=start, end=end))
    assert (await get_build_log(world.factory, OPERATOR, ID, LogQuery(start=2, end=2))).lines[0].text == "b"


async def test_what_is_found_is_as_short_as_any_other_part(world: World) -> None:
    world.build(failed(ID), build_id=ID)
    world.logs.write(ID, *("x" * 500 for _ in range(100)))
    view = await get_build_log(world.factory, OPERATOR, ID, LogQuery(search="x"))
    assert sum(len(line.text) for line in view.lines) <= TEXT_BYTES
    assert (view.end, view.truncated) == (False, True)


async def test_a_tail_cannot_have_a_cursor(world: World) -> None:
    with pytest.raises(Verdict, match=r"argument\.conflict"):
        await get_build_log(world.factory, OPERATOR, ID, LogQuery(tail=3, cursor="1"))


async def test_a_link_opens_its_file_for_an_hour(world: World) -> None:
    world.build(published(), build_id=ID)
    world.objects.objects[f"blobs/{DIGEST}"] = b"bytes"
    links = await get_download_links(world.factory, OPERATOR, ID)
    [link] = links.links
    assert link.expires_at == NOW + timedelta(hours=1)
    _, _, token, name = urlsplit(link.url).path.split("/")
    download = await open_download(world.factory, token, unquote(name))
    assert (download.bytes, download.sha256) == (5, DIGEST)
    assert b"".join([c async for c in read_download(world.factory, download, offset=1, length=3)]) == b"yte"
    world.now = NOW + timedelta(hours=1, seconds=1)
    with pytest.raises(Verdict, match=r"link\.expired"):
        await open_download(world.factory, token, unquote(name))


async def test_a_link_opens_nothing_under_another_name(world: World) -> None:
    world.build(published(), build_id=ID)
    [link] = (await get_download_links(world.factory, OPERATOR, ID)).links
    token = link.url.split("/")[4]
    with pytest.raises(Verdict, match=r"link\.invalid"):
        await open_download(world.factory, token, "other.qcow2")


async def test_a_file_that_was_removed_is_gone(world: World) -> None:
    world.build(published(), build_id=ID)
    [link] = (await get_download_links(world.factory, OPERATOR, ID)).links
    with pytest.raises(Verdict, match=r"object\.not_found"):
        await open_download(world.factory, link.url.split("/")[4], "image.qcow2")


async def test_an_unverified_image_is_called_unverified(world: World) -> None:
    world.build(published("unverified"), failed(ID), build_id=ID)
    links = await get_download_links(world.factory, OPERATOR, ID)
    assert links.note is not None
    assert links.note.startswith("UNVERIFIED")
    assert "image.qcow2" in links.note


async def test_a_build_without_files_says_so(world: World) -> None:
    world.build(build_id=ID)
    links = await get_download_links(world.factory, OPERATOR, ID)
    assert links.links == ()
    assert links.note is not None
    assert "pending" in links.note


async def test_nobody_gets_a_link_to_another_organizations_file(world: World) -> None:
    world.build(published(), build_id=ID)
    with pytest.raises(Verdict, match=r"build\.not_found"):
        await get_download_links(world.factory, STRANGER, ID)
