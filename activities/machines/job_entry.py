"""The way into a job's machines: their guest agent or, if the recipe leaves that out, SSH over an uplink."""

import json
import time
from typing import Any

from activities.job import Job
from activities.machines.domain_xml import MachineSpec, Nic
from activities.machines.guest import LibvirtGuest
from activities.machines.hypervisor import Hypervisor
from activities.machines.networks import GuestNetworks
from activities.machines.ports import Guest
from activities.machines.ssh_guest import SshGuest
from activities.machines.ssh_key import key_file, make_key, oem_strings
from activities.machines.workspace import Workspace
from domain.errors import Verdict
from domain.recipe.schema import Recipe
from domain.recipe.ssh_access import SshAccess, ssh_access_of
from infra.libvirt_paths import LibvirtPaths

_LOOK_EVERY = 3.0
_LOOK_SECONDS = 5.0


class JobEntry:
    """Reaches the machines of jobs. What is known of an entry lies in the machine's folder, for every worker."""

    def __init__(self, paths: LibvirtPaths, hypervisor: Hypervisor, networks: GuestNetworks | None) -> None:
        self.hypervisor = hypervisor
        self._paths = paths
        self._networks = networks
        self._looked: dict[str, float] = {}

    async def prepare(self, workspace: Workspace, spec: MachineSpec, job: Job, recipe: dict[str, Any]) -> MachineSpec:
        """Let the machine in by SSH if its recipe leaves the agent out; else it stays as it is.

        Raises:
            Verdict: `boot.no_entry` if nobody can get in.
            Fault: `network.…` or `command.…`.

        """
        if recipe.get("guestAgent", True):
            return spec
        access = ssh_access_of(Recipe.model_validate(recipe))
        if access is None or self._networks is None:
            raise Verdict.because(
                "boot.no_entry",
                "the recipe leaves the guest agent out, and its SSH server lets nobody in who may become root",
                path="guestAgent",
                next="Put the agent in, let root log in by SSH, or give a user `sudo` and no password.",
            )
        await make_key(workspace.folder)
        cabling = await self._networks.plug(workspace.name, job.org_id, (), egress=False)
        key_file(workspace.folder).with_name("access.json").write_text(access.model_dump_json(), encoding="utf-8")
        return spec.model_copy(
            update={
                "nics": tuple(Nic(bridge=card.bridge, mac=card.mac) for card in cabling.cards),
                "strings": oem_strings(workspace.folder, access),
            }
        )

    def guest(self, name: str) -> Guest:
        """Reach the guest of the machine `name`."""
        access = self._access(name)
        if access is None or self._networks is None:
            return LibvirtGuest(self.hypervisor, name)
        key = key_file(self._paths.machines / name)
        return SshGuest(name, access, key, self._networks, self.hypervisor)

    async def answers(self, name: str) -> bool:
        """Tell whether the guest can be asked by now; an SSH server is looked for every few seconds only.

        Raises:
            Verdict: `guest.agent_silent`, when the agent was there and is gone.
            Fault: as `Guest.run`.

        """
        if self._access(name) is None:
            if not await self.hypervisor.agent_listens(name):
                return False
            await LibvirtGuest(self.hypervisor, name).ping()
            return True
        now = time.monotonic()
        if now - self._looked.get(name, -_LOOK_EVERY) < _LOOK_EVERY:
            return False
        self._looked[name] = now
        try:
            return (await self.guest(name).run(("true",), timeout=_LOOK_SECONDS)).status == 0
        except Verdict:
            return False

    async def forget(self, name: str) -> None:
        """Give back the machine's uplink, if it has one; harmless to repeat, before its files are removed."""
        self._looked.pop(name, None)
        if self._networks is not None and self._access(name) is not None:
            await self._networks.unplug(name, forget=True)

    def _access(self, name: str) -> SshAccess | None:
        try:
            text = key_file(self._paths.machines / name).with_name("access.json").read_text(encoding="utf-8")
            return SshAccess.model_validate(json.loads(text))
        except (FileNotFoundError, ValueError):
            return None
