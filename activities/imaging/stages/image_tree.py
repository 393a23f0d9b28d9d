"""The tree that an image is made of: the layers of a plan, one laid on the other."""

import tarfile
from pathlib import Path, PurePosixPath

from activities.imaging.assembly_plans import AssemblyPlan
from activities.imaging.stages import rootfs_tree
from activities.imaging.stages.difference import WHITEOUT
from activities.imaging.stages.frame import Stage

_UNPACK = (
    *("--numeric-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*", "--delay-directory-restore"),
    "--exclude=./dev/*",
)


async def unpack(plan: AssemblyPlan, stage: Stage) -> Path:
    """Unpack the plan's layers, in memory or on disk as the plan says, and answer where. Without device nodes.

    The folder that the tree's folder is in is free for what else the stage makes on the way.
    """
    scratch = plan.work / "scratch"
    scratch.mkdir()
    if plan.scratch_bytes is not None:
        options = f"size={plan.scratch_bytes},nr_inodes=0,mode=755"
        await stage.run("mount", "-t", "tmpfs", "-o", options, "tmpfs", scratch)
    root = scratch / "root"
    root.mkdir(mode=0o755)
    whole, *differences = plan.layers
    await stage.run("tar", "--extract", "--file", whole, "--directory", root, *_UNPACK)
    for layer in differences:
        for name in _removed(layer):
            rootfs_tree.remove(root, name)
        await stage.run(*("tar", "--extract", "--file", layer, "--directory", root, f"--exclude={WHITEOUT}*"), *_UNPACK)
    return root


def _removed(layer: Path) -> list[str]:
    """Read what a difference removes. It is removed first: something else may come in its place."""
    with tarfile.open(layer) as tar:
        paths = [PurePosixPath(name) for name in tar.getnames()]
    marks = [path for path in paths if path.name.startswith(WHITEOUT)]
    return [str(path.with_name(path.name.removeprefix(WHITEOUT))) for path in marks]
