"""What makes an image this recipe's: users, services, network, first boot.

All of it happens with the tree as root directory: names and paths of the recipe cannot lead out. The layer says
only what it changes in the one beneath.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from activities.imaging.layers_plans import ConfigurationPlan
from activities.imaging.stages.accounts import check_accounts, make_accounts, refuse
from activities.imaging.stages.difference import mark_changes, snapshot
from activities.imaging.stages.frame import Stage, main
from activities.imaging.stages.layer_tree import (
    ROOT,
    inside_root,
    make_root,
    mount_system,
    pack_changes,
    scrub,
    unmount_system,
    unpack,
)
from activities.imaging.stages.services import check_services, has_unit, set_services
from activities.imaging.stages.system_files import (
    HOST_KEYS_UNIT,
    SystemFile,
    network_files,
    ssh_files,
    startup_files,
    startup_unit,
    system_files,
)
from domain.recipe.schema import Recipe

_RESOLVER = Path("/etc/resolv.conf")
_STUB = "../run/systemd/resolve/stub-resolv.conf"


async def work(plan: ConfigurationPlan, stage: Stage) -> None:
    """Check against the real tree, configure, clean and pack the difference."""
    recipe = Recipe.model_validate(plan.recipe)
    await make_root(plan, stage)
    stage.progress(5, "unpacking the packages")
    await unpack(plan.parent, stage)
    before = snapshot(ROOT)
    await mount_system(stage)
    stage.progress(60, "configuring")
    with inside_root():
        refuse((*check_accounts(recipe.users), *check_services(recipe)))
        await _configure(recipe, plan.apt_sources, stage)
    await unmount_system(stage)
    scrub(sources=False)
    stage.progress(90, "packing what changed")
    await pack_changes(plan, mark_changes(ROOT, before), stage)


async def _configure(recipe: Recipe, apt_sources: str, stage: Stage) -> None:
    files = system_files(recipe, apt_sources) | startup_files(recipe.startupScripts)
    units = [startup_unit(script.name) for script in recipe.startupScripts]
    if recipe.ssh is not None:
        files |= ssh_files(recipe.ssh)
        units.append(HOST_KEYS_UNIT)
    if not has_unit("NetworkManager"):
        files |= network_files()
        units.append("systemd-networkd.service")
    if has_unit("systemd-resolved"):
        units.append("systemd-resolved.service")
        _RESOLVER.unlink(missing_ok=True)
        _RESOLVER.symlink_to(_STUB)
    files |= await make_accounts(recipe.users, stage)
    _write(files)
    for user in recipe.users:
        stage.line(f"Account {user.username}: {len(user.ssh_keys)} key(s), {'sudo' if user.sudo else 'no sudo'}.")
    await set_services(recipe, tuple(units), stage)


def _write(files: Mapping[str, SystemFile]) -> None:
    for name, file in files.items():
        path = Path(name)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(file.text)
        path.chmod(file.mode)


if __name__ == "__main__":
    sys.exit(main(ConfigurationPlan, work))
