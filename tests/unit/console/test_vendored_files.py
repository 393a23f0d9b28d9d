"""Files of others are as they were published, all listed, with their licences, and all that they import is there."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

from console.assets import VENDOR, Assets

LISTED = json.loads((VENDOR / "vendor.json").read_text())["packages"]
OWN = VENDOR.parent / "console"
IMPORTED = re.compile(
    r"""^\s*(?:import|export)[^"'`;]*?from\s*["']([^"']+)["']|^import\s*["']([^"']+)["']""", re.MULTILINE
)


def listed_files() -> dict[str, str]:
    return {f"{p['folder']}/{name}": digest for p in LISTED for name, digest in p["files"].items()}


def test_every_file_is_as_its_digest_says() -> None:
    for name, digest in listed_files().items():
        assert sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_no_file_is_unlisted() -> None:
    there = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert there - {"vendor.json"} == set(listed_files())


@pytest.mark.parametrize("package", LISTED, ids=lambda package: package["folder"])
def test_every_package_has_its_version_in_its_address_and_its_licence_beside_it(package: dict[str, str]) -> None:
    assert package["folder"].endswith(f"-{package['version']}")
    assert package["license"]
    assert list((VENDOR / package["folder"]).glob("LICENSE*"))


@pytest.mark.parametrize(
    "script", sorted([*OWN.glob("*.js"), *VENDOR.rglob("*.js")]), ids=lambda path: path.name + path.parent.name
)
def test_all_that_a_script_imports_is_served(script: Path) -> None:
    assets = Assets()
    folder = f"/static/{script.parent.relative_to(VENDOR.parent)}/"
    for match in IMPORTED.finditer(script.read_text()):
        wanted = match[1] or match[2]
        path = Path(wanted) if wanted.startswith("/") else Path(folder) / wanted
        address = str(Path("/", *_without_dots(path.parts[1:]))).removeprefix("/static/")
        assert assets.find(address) is not None, wanted


def _without_dots(parts: tuple[str, ...]) -> list[str]:
    kept: list[str] = []
    for part in parts:
        if part == "..":
            kept.pop()
        elif part != ".":
            kept.append(part)
    return kept
