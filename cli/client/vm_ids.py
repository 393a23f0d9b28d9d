"""Machines by their id, by the beginning of it, by their name, or as `latest`."""

import re
from typing import Final

from cli.client.failures import ClientFailure, UsageFailure
from cli.client.tools import Tools
from domain.errors import Problem
from domain.vm.views import SnapshotList, VmPage

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PREFIX: Final = re.compile(r"[0-9a-f][0-9a-f-]{2,35}")
_RECENT: Final = 50  # the most that one page holds
ALL_SNAPSHOTS: Final = 80  # the most that one answer holds


async def resolve_vm(session: Tools, given: str) -> str:
    """Return a machine's full id. A name stands for the newest machine of that name.

    Raises:
        UsageFailure: the beginning of several ids.
        ClientFailure: no such machine.

    """
    text = given.strip().lower().removeprefix("vm-")
    if _UUID.fullmatch(text):
        return text
    page = VmPage.model_validate(await session.call("list_vms", {"limit": _RECENT}), extra="ignore")
    named = [vm.vm_id for vm in page.vms if text == "latest" or vm.name == given.strip()]
    if named:
        return named[0]
    return _one("vm", given, [vm.vm_id for vm in page.vms if _PREFIX.fullmatch(text) and vm.vm_id.startswith(text)])


async def resolve_snapshot(session: Tools, vm_id: str, given: str) -> str:
    """Return a snapshot's full id. A name stands for the newest snapshot of that name.

    Raises:
        UsageFailure: the beginning of several ids.
        ClientFailure: no such snapshot.

    """
    text = given.strip().lower()
    if _UUID.fullmatch(text):
        return text
    listed = await session.call("list_snapshots", {"vm_id": vm_id, "limit": ALL_SNAPSHOTS})
    answer = SnapshotList.model_validate(listed, extra="ignore")
    newest = answer.snapshots[::-1]
    named = [s.snapshot_id for s in newest if text == "latest" or s.name == given.strip()]
    if named:
        return named[0]
    fitting = [s.snapshot_id for s in newest if _PREFIX.fullmatch(text) and s.snapshot_id.startswith(text)]
    return _one("snapshot", given, fitting)


def _one(kind: str, given: str, found: list[str]) -> str:
    if len(found) > 1:
        raise UsageFailure(
            Problem(
                code=f"{kind}.ambiguous",
                message=f"{len(found)} ids begin with {given}.",
                suggestions=tuple(found[:5]),
                next="Give more digits.",
            )
        )
    if not found:
        what = "machines" if kind == "vm" else "snapshots of this machine"
        listed = "openfactory vm list" if kind == "vm" else "openfactory vm snapshots VM"
        raise ClientFailure(
            Problem(
                code=f"{kind}.not_found",
                message=f"None of the newest {what} is {given}.",
                next=f"List them with `{listed}`, or give the whole id.",
            )
        )
    return found[0]
