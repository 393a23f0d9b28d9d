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


class InstallPlan(LayerPlan):
    """Packages from a flat `repository`.

    `targets` name exact versions to install; of these `automatic` are there only because others need them, and
    `manual`, installed before, are now wanted for themselves. `expected` are all that the tree has at the end,
    as `name=version`.
    """

    repository: Path
    targets: tuple[str, ...]
    automatic: tuple[str, ...]
    manual: tuple[str, ...] = ()
    expected: tuple[str, ...]


class BasePlan(InstallPlan):
    """The bare system of a `suite`, and `targets` on it."""

    suite: str
    arch: str


class PackagePlan(InstallPlan):
    """Packages on top of `parent`."""

    parent: Path


class ConfigurationPlan(LayerPlan):
    """Users, services and scripts to add to `parent`. `apt_sources` is the image's own (deb822)."""

    parent: Path
    recipe: dict[str, Any]
    apt_sources: str
