"""The bare distribution, made by mmdebstrap(1) from the locked packages alone, without a network."""

import sys
from pathlib import Path

from activities.imaging.layers_plans import BasePlan
from activities.imaging.stages.frame import Stage, main
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
    "I: running apt-get update": 5,
    "I: downloading packages": 10,
    "I: extracting archives": 20,
    "I: installing essential packages": 35,
    "I: installing remaining packages": 60,
    "I: cleaning package lists": 80,
}


async def work(plan: BasePlan, stage: Stage) -> None:
    """Bootstrap, check, clean and pack."""

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
    await require_packages(plan.expected, stage)
    await unmount_system(stage)
    (ROOT / "etc/hostname").unlink(missing_ok=True)  # mmdebstrap leaves the host's
    scrub()
    stage.progress(90, "packing")
    await pack(plan, stage)


if __name__ == "__main__":
    sys.exit(main(BasePlan, work))
