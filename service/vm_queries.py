"""Looking at machines: a page of them, one of them with waiting, its snapshots."""

import asyncio
from contextlib import suppress

from domain.artifacts import DownloadLink
from domain.caller import Caller
from domain.errors import Fault
from domain.model import Value
from domain.vm.inputs import workflow_id
from domain.vm.state import RESTING, VmState, VmStatus
from domain.vm.views import SnapshotList, VmPage, VmView
from service.build_queries import LONGEST_WAIT
from service.factory import Factory
from service.histories import kept_histories
from service.permissions import require
from service.vm_lookup import visible_vm
from service.vm_view import accepted, snapshot_view, summary, vm_view

MOST_VMS = 50
MOST_SNAPSHOTS = 80
_MOST_HISTORIES = 2


class VmListQuery(Value):
    """Which machines are wanted; deleted ones only if that status, or all, is asked for."""

    limit: int = 20
    cursor: str | None = None
    status: VmStatus | None = None
    name: str | None = None
    deleted: bool = False


async def list_vms(factory: Factory, caller: Caller, query: VmListQuery) -> VmPage:
    """List the organization's machines, newest first.

    Raises:
        Verdict: `cursor.invalid`.

    """
    require(caller, "list_vms")
    async with factory.reads.org(caller.org_id) as reads:
        page = await reads.vms.page(
            limit=min(query.limit, MOST_VMS),
            cursor=query.cursor,
            status=query.status,
            name=query.name,
            deleted=query.deleted,
        )
    return VmPage(vms=tuple(summary(state) for state in page.vms), next_cursor=page.next_cursor)


async def get_vm(
    factory: Factory, caller: Caller, vm_id: str, *, wait_s: float = 0.0, since_version: int | None = None
) -> VmView:
    """Return the machine; with `wait_s`, once it has changed or come to rest, or when the seconds are over.

    At rest is one that is stopped, failed, lost or deleted, or that runs and answers or is known not to, with
    no command open: it is answered at once unless its version is not above `since_version`.

    Raises:
        Verdict: `vm.not_found`.

    """
    require(caller, "get_vm")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(wait_s, LONGEST_WAIT)
    state = await visible_vm(factory, caller, vm_id)
    known = since_version if since_version is not None else _version(state)
    while _version(state) <= known and not _rests(state) and (left := deadline - loop.time()) > 0:
        await factory.reads.wait_for(caller.org_id, "vms", vm_id, known + 1, left)
        state = await visible_vm(factory, caller, vm_id)
    if state is None:
        return accepted(vm_id)
    position, histories = await _position(factory, state), await _histories(factory, state)
    return vm_view(state, now=factory.now(), position=position, histories=histories)


async def list_snapshots(factory: Factory, caller: Caller, vm_id: str, limit: int = 20) -> SnapshotList:
    """List a machine's newest snapshots, oldest first.

    Raises:
        Verdict: `vm.not_found`.

    """
    require(caller, "list_snapshots")
    state = await visible_vm(factory, caller, vm_id)
    kept = state.snapshots if state is not None else ()
    shown = kept[-min(limit, MOST_SNAPSHOTS) :]
    older = len(kept) - len(shown)
    cut = f"{older} older ones are not shown: call list_snapshots with a higher limit." if older else None
    return SnapshotList(vm_id=vm_id, snapshots=tuple(snapshot_view(snapshot) for snapshot in shown), cut=cut)


def _version(state: VmState | None) -> int:
    return 0 if state is None else state.version


def _rests(state: VmState | None) -> bool:
    if state is None or state.open_orders or state.status not in RESTING:
        return False
    return state.status != "running" or state.ready or bool(state.problems)


async def _position(factory: Factory, state: VmState) -> int | None:
    """Tell the place in the queue for a host; that nobody answers must not hide the machine."""
    if state.waiting is None or state.status not in {"pending", "starting"}:
        return None
    with suppress(Fault):
        waiting = (await factory.vms.fleet()).waiting
        return waiting.index(state.vm_id) + 1 if state.vm_id in waiting else None
    return None


async def _histories(factory: Factory, state: VmState) -> tuple[DownloadLink, ...]:
    """Link to what is kept of the workflow once the machine is deleted, which can be shown without too."""
    if state.status == "deleted":
        with suppress(Fault):
            return (await kept_histories(factory, workflow_id(state.vm_id)))[-_MOST_HISTORIES:]
    return ()
