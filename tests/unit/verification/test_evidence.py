"""The name of evidence changes with whatever it depends on, and with nothing else."""

import pytest

from activities.verification import evidence
from activities.verification.evidence import evidence_name, names_of
from activities.verification.models import NameEvidence
from domain.artifacts import Artifact, Blob
from domain.recipe.parse import parse_recipe
from domain.recipe.schema import Recipe

CLAIM = {"tests": [{"description": "mine", "assertions": [{"type": "port_listening", "params": {"port": 22}}]}]}


def recipe(**given: object) -> Recipe:
    return parse_recipe({"name": "web", "baseImage": "debian-bookworm", **given})


def test_the_same_bytes_and_tests_have_the_same_name_whatever_else_the_recipe_says() -> None:
    one = evidence_name(recipe(), "qcow2", "ab" * 32)
    assert evidence_name(recipe(name="other"), "qcow2", "ab" * 32) == one
    assert evidence_name(recipe(), "qcow2", "cd" * 32) != one


def test_an_assertion_more_changes_the_name_where_it_is_due() -> None:
    for_disk = [evidence_name(r, "qcow2", "ab" * 32) for r in (recipe(), recipe(**CLAIM))]
    for_iso = [evidence_name(r, "iso", "ab" * 32) for r in (recipe(), recipe(**CLAIM))]
    assert for_disk[0] != for_disk[1]
    assert for_iso[0] == for_iso[1]


def test_the_opposite_claim_has_another_name() -> None:
    claimed = {"type": "port_listening", "params": {"port": 22}, "not": True}
    opposite = {"tests": [{"description": "mine", "assertions": [claimed]}]}
    assert evidence_name(recipe(**CLAIM), "qcow2", "ab" * 32) != evidence_name(recipe(**opposite), "qcow2", "ab" * 32)


def test_another_verifier_gives_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = evidence_name(recipe(), "iso", "ab" * 32)
    monkeypatch.setattr(evidence, "verifier_version", lambda: "another")
    assert evidence_name(recipe(), "iso", "ab" * 32) != before


def test_only_what_can_be_booted_has_evidence() -> None:
    images = tuple(
        Artifact.model_validate({"kind": kind, "name": kind, "blob": Blob(digest="ab" * 32, bytes=1).model_dump()})
        for kind in ("qcow2", "iso", "manifest")
    )
    request = NameEvidence(recipe=recipe().model_dump(mode="json"), images=images)
    assert set(names_of(request).names) == {"qcow2", "iso"}
