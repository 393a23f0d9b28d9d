"""What the layer stages are told. They answer with the records of `assembly_plans`."""

from pathlib import Path
from typing import Any

from activities.imaging.assembly_plans import StagePlan


class LayerPlan(StagePlan):
    """A layer to be packed into `output`.

    The tree is made in memory if
    `scratch_bytes` says how much it may take, else in `work`, an empty folder.
    """

    output: Path
    work: Path
    scratch_bytes: int | None


class BasePlan(LayerPlan):
    """The bare system. `repository` is a flat repository; `expected` are the packages, as `name=version`."""

    suite: str
    arch: str
    repository: Path
    expected: tuple[str, ...]


class PackagePlan(LayerPlan):
    """Packages to install on `parent` from a flat repository.

    `targets` name exact versions; of these `automatic` are there only because others need them.
    """

    parent: Path
    repository: Path
    targets: tuple[str, ...]
    automatic: tuple[str, ...]
    expected: tuple[str, ...]


class ConfigurationPlan(LayerPlan):
    """Users, services and scripts to add to `parent`. `apt_sources` is the image's own (deb822)."""

    parent: Path
    recipe: dict[str, Any]
    apt_sources: str
