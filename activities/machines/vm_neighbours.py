"""Machines of one private network on one host, which are to know each other by name."""

import asyncio
import logging

from activities.machines.guest import LibvirtGuest
from activities.machines.ports import Guest
from activities.machines.vm_folder import VmFolder, VmRecord, folders
from activities.machines.vm_ports import Networks
from activities.machines.vm_premises import Premises
from domain.errors import FactoryError
from domain.vm.spec import Network

_log = logging.getLogger(__name__)


class VmNeighbours:
    """Tells the machines of a host's networks of each other."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises

    async def tell(self, newcomer: VmRecord) -> None:
        """Tell the guests that are up already of one that has just come up; who cannot be told is left out."""
        networks = self._premises.networks
        if networks is None:
            return
        shared = _keys(newcomer)
        known = [(folder, folder.record) for folder in await asyncio.to_thread(folders, self._premises.paths)]
        told = (
            self._tell(networks, folder, record)
            for folder, record in known
            if record is not None and record.vm_id != newcomer.vm_id and shared & _keys(record)
        )
        await asyncio.gather(*told)

    async def _tell(self, networks: Networks, folder: VmFolder, record: VmRecord) -> None:
        try:
            guest = await self._guest(folder, record)
            if guest is not None:
                await networks.introduce(folder.name, guest, if_news=True)
        except FactoryError as error:
            _log.info("%s was not told of its new neighbour: %s", folder.name, error)

    async def _guest(self, folder: VmFolder, record: VmRecord) -> Guest | None:
        """The guest, if it is up."""
        state = await self._premises.hypervisor.vm(folder.name)
        if state is None or not state.is_active or state.is_paused:
            return None
        if await self._premises.hypervisor.agent_listens(folder.name):
            return LibvirtGuest(self._premises.hypervisor, folder.name)
        ssh = self._premises.ssh
        return await ssh.reach(folder.name, folder.path, record.spec) if ssh is not None else None


def _keys(record: VmRecord) -> frozenset[tuple[str, str, str]]:
    """What its networks are, wherever the same names are used otherwise."""

    def key(network: Network) -> tuple[str, str, str]:
        return record.org_id, network.scope, network.name

    return frozenset(map(key, record.spec.networks))
