"""The recipe's packages, installed on top of the base layer."""

import sys

from activities.imaging.layers_plans import PackagePlan
from activities.imaging.stages.frame import Stage, main
from activities.imaging.stages.install import install
from activities.imaging.stages.layer_tree import make_root, pack, require_packages, scrub, unpack

_INSTALL = (10.0, 80.0)  # percent of the step


async def work(plan: PackagePlan, stage: Stage) -> None:
    """Install exactly the targets, clean and pack."""
    await make_root(plan, stage)
    stage.progress(2, "unpacking the base")
    await unpack(plan.parent, stage)
    await install(plan, stage, _INSTALL)
    await require_packages(plan.expected, stage)
    scrub()
    stage.progress(90, "packing")
    await pack(plan, stage)


if __name__ == "__main__":
    sys.exit(main(PackagePlan, work))
