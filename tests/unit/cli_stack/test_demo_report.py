import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.stack.demo_report import blob_path, judge, say_files
from domain.artifacts import Artifact, Blob
from domain.views import BuildView, DownloadLinks, ReportView
from infra.settings import load

DIGESTS = {"qcow2": "ab" * 32, "iso": "cd" * 32, "log": "ef" * 32}


def artifact(kind: Any, verification: Any = "verified") -> Artifact:
    return Artifact(kind=kind, name=f"demo.{kind}", blob=Blob(digest=DIGESTS[kind], bytes=5), verification=verification)


def report(passed: int, failed: int) -> ReportView:
    return ReportView(
        artifact="qcow2", firmware="uefi", accelerator="tcg", boot_seconds=1.0, passed=passed, failed=failed
    )


def build(**changes: Any) -> BuildView:
    good: dict[str, Any] = {
        "build_id": "b",
        "workflow_id": "w",
        "name": "demo",
        "status": "completed",
        "version": 3,
        "reports": (report(5, 0),),
        "artifacts": (artifact("qcow2"), artifact("iso"), artifact("log", "unverified")),
    }
    return BuildView(**(good | changes))


def links() -> DownloadLinks:
    link: dict[str, Any] = {
        "kind": "iso",
        "name": "demo.iso",
        "bytes": 5,
        "sha256": DIGESTS["iso"],
        "verification": "verified",
        "method": None,
        "url": "http://factory/download/x",
        "expires_at": "2030-01-01T00:00:00Z",
    }
    return DownloadLinks.model_validate({"build_id": "b", "status": "completed", "links": [link]})


def test_a_build_is_verified_when_every_image_held_every_claim() -> None:
    assert judge(build(), None).verified


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "failed"},
        {"reports": (report(5, 1),)},
        {"reports": ()},
        {"artifacts": (artifact("qcow2"), artifact("iso", "unverified"))},
        {"artifacts": ()},
    ],
    ids=["not completed", "a claim does not hold", "nothing was checked", "an image was not verified", "no images"],
)
def test_anything_less_is_not_verified(wrong: dict[str, Any]) -> None:
    assert not judge(build(**wrong), None).verified


def test_the_json_has_the_published_shape() -> None:
    published = judge(build(), links()).with_total(12.345).as_json()
    assert set(published) == {"build_id", "status", "artifacts", "verification", "seconds"}
    assert published["verification"] == {"passed": 5, "failed": 0}
    assert published["seconds"] == {"total": 12.3, "steps": {}}
    assert published["artifacts"][1] == {
        "kind": "iso",
        "bytes": 5,
        "sha256": DIGESTS["iso"],
        "url": "http://factory/download/x",
    }


def test_the_files_are_named_and_links_only_while_they_work() -> None:
    settings = load({"OPENFACTORY_HOME": "/data"})
    for later in (True, False):
        out = io.StringIO()
        say_files(judge(build(), links()), settings, Console(file=out, width=200), reachable_later=later)
        assert str(blob_path(Path("/data"), DIGESTS["iso"])) in out.getvalue()
        assert ("http://factory/download/x" in out.getvalue()) is later
