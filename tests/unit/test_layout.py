"""What import-linter cannot say: no module is outside its contracts, and the domain needs nobody."""

import ast
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_ROOMS = {"tests", "benchmarks"}
DOMAIN_MAY_IMPORT = {*sys.stdlib_module_names, "pydantic", "pydantic_core", "domain"}
# Of the standard library, what brings a clock, chance or the outside into decisions.
DOMAIN_MAY_NOT_IMPORT = {
    "asyncio",
    "http",
    "os",
    "random",
    "secrets",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "time",
}


def contracts() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def top_level_packages() -> set[str]:
    return {p.parent.name for p in ROOT.glob("*/*.py") if not p.parent.name.startswith(".")} - NO_ROOMS


def test_every_package_is_under_the_import_contracts() -> None:
    assert top_level_packages() == set(contracts()["root_packages"])


def test_every_package_has_its_layer() -> None:
    layers = contracts()["contracts"][0]["layers"]
    assert {room.strip() for layer in layers for room in layer.split("|")} == top_level_packages()


def test_no_module_lies_at_the_top_or_outside_a_package() -> None:
    assert not list(ROOT.glob("*.py"))
    folders = {p.parent for room in top_level_packages() for p in (ROOT / room).rglob("*.py")}
    assert not [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()]


@pytest.mark.parametrize("path", sorted((ROOT / "domain").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_domain_imports_only_the_standard_library_and_pydantic(path: Path) -> None:
    assert imported(path) <= DOMAIN_MAY_IMPORT - DOMAIN_MAY_NOT_IMPORT
