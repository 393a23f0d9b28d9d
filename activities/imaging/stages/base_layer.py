"""The distribution with a kernel and what else every image has, from the locked packages alone, without a network.

The bare system is made by mmdebstrap(1); the rest is installed in it.
"""

import sys
from pathlib import Path

from activities.imaging.layers_plans import BasePlan
from activities.imaging.stages.frame import Stage, main
from activities.imaging.stages.install import install
from activities.imaging.stages.layer_tree import (
    REPOSITORY,
    ROOT,
    bind_repository,
    make_root,
    pack,
    require_packages,
    scrub,
    unmount_system,
)

# Older suites need their merged /usr made before the first package is unpacked.
_MERGED_USR = Path("/usr/share/mmdebstrap/hooks/maybe-merged-usr")
_STEPS = {
    "I: running apt-get update": 1,
    "I: downloading packages": 2,
    "I: extracting archives": 4,
    "I: installing essential packages": 6,
    "I: installing remaining packages": 10,
    "I: cleaning package lists": 14,
}
_INSTALL = (16.0, 35.0)  # percent of the step; the ramdisk takes longer than all packages


async def work(plan: BasePlan, stage: Stage) -> None:
    """Bootstrap, install, check, clean and pack."""

    def follow(line: str) -> None:
        for start, percent in _STEPS.items():
            if line.startswith(start):
                stage.progress(percent, start.removeprefix("I: "))
        if not line.startswith("(Reading database"):
            stage.line(line)

    await make_root(plan, stage)
    await bind_repository(plan.repository, stage)
    hooks = [f"--hook-directory={_MERGED_USR}"] if _MERGED_USR.is_dir() else []
    await stage.run(
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--architectures={plan.arch}",
        *hooks,
        plan.suite,
        ROOT,
        f"deb [trusted=yes] copy:{REPOSITORY} ./",
        on_line=follow,
    )
    await unmount_system(stage)
    (ROOT / "etc/hostname").unlink(missing_ok=True)  # mmdebstrap leaves the host's
    scrub()  # before any package can keep a copy of what is the host's
    await install(plan, stage, _INSTALL)
    await require_packages(plan.expected, stage)
    scrub()
    stage.progress(95, "packing")
    await pack(plan, stage)


if __name__ == "__main__":
    sys.exit(main(BasePlan, work))
