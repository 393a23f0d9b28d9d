"""A worker in a process of its own, to be killed: does one thing to one VM and ends.

Usage: `python -m tests.integration.machines.vm_worker HOME IMAGE REQUEST`, where IMAGE is the file of the image and
REQUEST is JSON: the method of `VmHost` and its request. It prints a line when it begins.
"""

import asyncio
import json
import sys
from pathlib import Path

from activities.machines import vm_models as m
from activities.machines.vm_machines import LibvirtVms
from infra.settings import load
from tests.fakes.objects import FakeObjectStore
from tests.guests import image_ref

_REQUESTS = {
    "create": m.CreateVm,
    "start": m.StartVm,
    "stop": m.StopVm,
    "delete": m.DeleteVm,
    "take_snapshot": m.TakeSnapshot,
    "restore_snapshot": m.RestoreSnapshot,
}


async def main(home: str, image: str, what: str) -> None:
    order = json.loads(what)
    objects = FakeObjectStore()
    await objects.put_file(f"blobs/{image_ref(Path(image)).digest}", Path(image))
    vms = LibvirtVms(load({"OPENFACTORY_HOME": home, "OPENFACTORY_ACCELERATOR": "tcg"}), objects)
    request = _REQUESTS[order["method"]].model_validate(order["request"])
    print("begun", flush=True)
    await getattr(vms, order["method"])(request)
    await vms.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
