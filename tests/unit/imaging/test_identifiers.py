"""Identifiers inside an image."""

import re

import pytest

from activities.imaging.identifiers import fat_serial, image_uuid, volume_label

DIGEST = "ab" * 32


def test_an_identifier_depends_on_the_layer_and_the_role_alone() -> None:
    assert image_uuid(DIGEST, "root") == image_uuid(DIGEST, "root")
    assert image_uuid(DIGEST, "root") != image_uuid(DIGEST, "esp")
    assert image_uuid(DIGEST, "root") != image_uuid("cd" * 32, "root")


def test_identifiers_never_change_between_releases() -> None:
    assert str(image_uuid(DIGEST, "root")) == "4c100825-9ffb-52fc-8fb9-0934966be6af"


def test_a_derived_identifier_says_that_it_is_one() -> None:
    assert image_uuid(DIGEST, "root").version == 5


def test_a_fat_serial_is_eight_hexadecimal_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}", fat_serial(DIGEST, "esp"))


@pytest.mark.parametrize(
    ("name", "label"),
    [("demo-server", "DEMO_SERVER"), ("a" * 40, "A" * 32), ("web2", "WEB2")],
)
def test_a_volume_label_keeps_to_what_iso_9660_allows(name: str, label: str) -> None:
    assert volume_label(name) == label
