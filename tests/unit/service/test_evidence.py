"""What is known of builds: evidence bound to the bytes, and two builds beside each other."""

import hashlib
from typing import Any

import pytest

from domain.artifacts import Artifact, ArtifactKind, Blob, Verification
from domain.build import events as e
from domain.canonical import canonical_json, digest
from domain.errors import Verdict
from domain.verification import AssertionResult, Reuse, VerificationReport
from mcp_server.render import view_text
from service.admission.credentials import OPERATOR
from service.build_compare import compare_builds
from service.build_evidence import get_build_evidence
from service.downloads import get_download_links, open_download
from tests.fakes.factory import NOW, STRANGER, World, recipe_document

OLD = "11111111-1111-4111-8111-111111111111"
NEW = "22222222-2222-4222-8222-222222222222"
OTHER_BYTES = "ff" * 32


def result(description: str, *, passed: bool = True) -> AssertionResult:
    return AssertionResult(
        suite="recipe",
        description=description,
        type="port_listening",
        passed=passed,
        expected="listening",
        found="listening" if passed else "\x1b[2Jnothing",
    )


def report(*results: AssertionResult) -> VerificationReport:
    return VerificationReport(
        artifact="qcow2", firmware="uefi", accelerator="tcg", boot_seconds=9.0, results=results or (result("web"),)
    )


class Published:
    """A build whose documents are in the object store."""

    def __init__(self, world: World, build_id: str = OLD, *, image: str = "ab" * 32, size: int = 5) -> None:
        self.world = world
        self.build_id = build_id
        self.image = image
        self.size = size
        self.packages = {"bash": "5.2", "nginx": "1.22"}
        self.reports = (report(),)
        self.verification: Verification = "verified"
        self.checked = image
        self.recipe_sha256 = digest(recipe_document())

    def publish(self) -> None:
        qcow2 = Artifact(
            kind="qcow2",
            name="web.qcow2",
            blob=Blob(digest=self.image, bytes=self.size),
            verification=self.verification,
        )
        same: dict[str, Any] = {"build_id": self.build_id, "org_id": "local", "at": NOW}
        artifacts = (
            qcow2,
            self._document("recipe", "recipe.json", recipe_document()),
            self._document("manifest", "packages.json", self._manifest()),
            self._document("report", "verification.json", self._verification()),
        )
        self.world.build(
            e.BuildVerified(**same, generation=0, reports=self.reports),
            e.ArtifactsPublished(**same, generation=0, artifacts=artifacts),
            e.BuildCompleted(**same, seconds=60.0),
            build_id=self.build_id,
        )

    def _manifest(self) -> dict[str, Any]:
        packages = [{"name": name, "version": version} for name, version in self.packages.items()]
        return {"suite": "bookworm", "arch": "amd64", "index": "20300101T000000Z", "packages": packages}

    def _verification(self) -> dict[str, Any]:
        return {
            "verifier": {"name": "openfactory", "version": "0.1"},
            "build": {"id": self.build_id, "generation": 0},
            "recipe": {"name": "web", "sha256": self.recipe_sha256},
            "lock": {"sha256": "cc" * 32},
            "images": [{"name": "web.qcow2", "kind": "qcow2", "sha256": self.checked, "booted": True}],
        }

    def _document(self, kind: ArtifactKind, name: str, document: dict[str, Any]) -> Artifact:
        data = canonical_json(document)
        sha256 = hashlib.sha256(data).hexdigest()
        self.world.objects.objects[f"blobs/{sha256}"] = data
        return Artifact(kind=kind, name=name, blob=Blob(digest=sha256, bytes=len(data)))


async def test_sound_evidence_binds_what_was_checked_to_the_images_bytes(world: World) -> None:
    Published(world).publish()
    view = await get_build_evidence(world.factory, OPERATOR, "latest-verified")
    assert view.sound
    [image] = view.images
    assert (image.sha256, image.bound, image.booted, image.passed, image.firmware) == (
        "ab" * 32,
        True,
        True,
        1,
        "uefi",
    )
    assert view.recipe_sha256 == digest(recipe_document())
    assert view.packages is not None
    assert view.packages.count == 2
    assert {document.name for document in view.documents} == {"recipe.json", "packages.json", "verification.json"}
    assert all(document.url.startswith(world.public_url) for document in view.documents)


async def test_an_image_that_was_not_booted_again_names_the_build_that_was(world: World) -> None:
    Published(world).publish()
    new = Published(world, NEW)
    new.reports = (report().model_copy(update={"reused": Reuse(build_id=OLD, verified_at=NOW)}),)
    new.publish()
    [image] = (await get_build_evidence(world.factory, OPERATOR, NEW)).images
    assert image.reused is not None
    assert image.reused.build_id == OLD
    assert "Not booted again" in view_text(await get_build_evidence(world.factory, OPERATOR, NEW))


async def test_the_histories_of_a_builds_runs_are_beside_the_evidence_and_end_with_the_build(world: World) -> None:
    Published(world).publish()
    for run in ("20300101T000000-first", "20300102T000000-second"):
        world.objects.objects[f"histories/build-{OLD}/{run}-{'ee' * 32}.json.gz"] = b"history"
    view = await get_build_evidence(world.factory, OPERATOR, OLD)
    assert [(h.name, h.bytes, h.sha256) for h in view.histories] == [
        ("history-20300101T000000.json.gz", 7, "ee" * 32),
        ("history-20300102T000000.json.gz", 7, "ee" * 32),
    ]
    links = await get_download_links(world.factory, OPERATOR, OLD, kind="history")
    assert [link.url for link in links.links] == [link.url for link in view.histories]
    token, name = view.histories[0].url.split("/")[-2:]
    assert (await open_download(world.factory, token, name)).bytes == 7
    world.reads.apply(e.BuildDeleted(build_id=OLD, org_id="local", at=NOW, requested_by="operator", reason="old"))
    with pytest.raises(Verdict, match=r"object\.not_found"):
        await open_download(world.factory, token, name)


async def test_a_report_about_other_bytes_is_no_evidence(world: World) -> None:
    published = Published(world)
    published.checked = OTHER_BYTES
    published.publish()
    view = await get_build_evidence(world.factory, OPERATOR, OLD)
    assert (view.sound, view.images[0].bound) == (False, False)
    assert [problem.code for problem in view.problems] == ["evidence.unbound"]


async def test_a_report_about_another_recipe_is_no_evidence(world: World) -> None:
    published = Published(world)
    published.recipe_sha256 = OTHER_BYTES
    published.publish()
    view = await get_build_evidence(world.factory, OPERATOR, OLD)
    assert not view.sound
    assert "another recipe" in view.problems[0].message


async def test_a_document_that_was_changed_is_noticed(world: World) -> None:
    Published(world).publish()
    for key, data in world.objects.objects.items():
        world.objects.objects[key] = data.replace(b"openfactory", b"openfactorx")
    view = await get_build_evidence(world.factory, OPERATOR, OLD)
    assert not view.sound
    assert [problem.code for problem in view.problems] == ["evidence.corrupt"]


async def test_documents_that_are_gone_are_told_of_and_the_rest_is_shown(world: World) -> None:
    Published(world).publish()
    world.objects.objects.clear()
    view = await get_build_evidence(world.factory, OPERATOR, OLD)
    assert not view.sound
    assert {problem.code for problem in view.problems} == {"evidence.missing"}
    assert view.images[0].sha256 == "ab" * 32


async def test_a_build_that_has_published_nothing_yet_has_no_evidence(world: World) -> None:
    world.build(build_id=OLD)
    view = await get_build_evidence(world.factory, OPERATOR, OLD)
    assert (view.sound, view.images) == (False, ())
    assert view.next is not None
    assert "get_build_status" in view.next


async def test_what_failed_is_clean_and_short(world: World) -> None:
    published = Published(world)
    published.reports = (report(*(result(f"claim {n} {'x' * 300}", passed=False) for n in range(500))),)
    published.verification = "unverified"
    published.publish()
    view = await get_build_evidence(world.factory, OPERATOR, OLD)
    assert len(view.model_dump_json()) < 8_000
    assert "\x1b" not in view.model_dump_json()
    assert view.images[0].failed == 500


async def test_evidence_is_the_organizations_own(world: World) -> None:
    Published(world).publish()
    with pytest.raises(Verdict, match=r"build\.not_found"):
        await get_build_evidence(world.factory, STRANGER, OLD)
    with pytest.raises(Verdict, match=r"build\.not_found"):
        await compare_builds(world.factory, STRANGER, OLD, OLD)


async def test_two_builds_differ_in_packages_sizes_and_what_holds(world: World) -> None:
    Published(world).publish()
    new = Published(world, NEW, image=OTHER_BYTES, size=7)
    new.packages = {"bash": "5.3", "htop": "3"}
    new.reports = (report(result("web", passed=False), result("mail")),)
    new.verification = "unverified"
    new.publish()
    view = await compare_builds(world.factory, OPERATOR, "1111", NEW)
    assert view.packages is not None
    assert [(c.name, c.after) for c in view.packages.added] == [("htop", "3")]
    assert [(c.name, c.before) for c in view.packages.removed] == [("nginx", "1.22")]
    assert [(c.name, c.before, c.after) for c in view.packages.changed] == [("bash", "5.2", "5.3")]
    [image] = view.images
    assert (image.bytes_before, image.bytes_after, image.identical) == (5, 7, False)
    assert (image.verification_before, image.verification_after) == ("verified", "unverified")
    assert [(a.description, a.before, a.after, a.found) for a in view.assertions] == [
        ("web", True, False, "nothing"),
        ("mail", None, True, ""),
    ]
    assert view.recipe == ()


async def test_a_build_is_the_same_as_itself(world: World) -> None:
    Published(world).publish()
    view = await compare_builds(world.factory, OPERATOR, OLD, "latest")
    assert view.images[0].identical
    assert (view.recipe, view.assertions) == ((), ())
    assert view.packages is not None
    assert (view.packages.added, view.packages.removed, view.packages.changed) == ((), (), ())


async def test_without_a_manifest_everything_else_is_compared_and_the_gap_told(world: World) -> None:
    Published(world).publish()
    world.build(build_id=NEW)
    view = await compare_builds(world.factory, OPERATOR, OLD, NEW)
    assert view.packages is None
    assert view.cut is not None
    assert NEW in view.cut
    assert view.images[0].bytes_after is None


async def test_a_comparison_of_very_different_builds_is_short(world: World) -> None:
    Published(world).publish()
    new = Published(world, NEW)
    new.packages = {f"package-{n}": "1" * 200 for n in range(900)}
    new.reports = (report(*(result(f"claim {n} {'x' * 500}", passed=False) for n in range(300))),)
    new.publish()
    view = await compare_builds(world.factory, OPERATOR, OLD, NEW)
    assert len(view.model_dump_json()) < 14_000
    assert view.cut is not None
    assert "875 more added packages" in view.cut


async def test_the_argument_that_names_no_build_is_told(world: World) -> None:
    Published(world).publish()
    with pytest.raises(Verdict, match=r"build\.not_found") as refused:
        await compare_builds(world.factory, OPERATOR, OLD, "latest:none")
    assert refused.value.problems[0].path == "after"
