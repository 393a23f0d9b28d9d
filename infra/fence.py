"""The last fence around a host's VMs: ends their QEMUs when the host's lease has lapsed and no worker did.

The host worker ends its VMs itself when its lease is not acknowledged (`activities.machines.host_lease`), and
this only steps in for a worker that is dead or stands still. It is a program of libvirt's keeper, in the same
namespaces as the QEMUs. Until when the lease holds is told by a file in libvirt's `run` folder; without it,
as on a host that never had a lease, nothing is ended.
"""

import contextlib
import logging
import os
import signal
import time
from pathlib import Path
from typing import Final

HELD_UNTIL: Final = "held-until"
GRACE_SECONDS: Final = 5.0
"""How much later than the worker this acts: worker and fence together are well within the fleet's 45 s."""
_RUN: Final = Path("/run/libvirt")
_LOOK_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


def tell(run: Path, moment: float) -> None:
    """Write down until when the lease holds, in seconds of `time.monotonic`, which all processes share.

    On a full disk what is there is overwritten, which takes no space: a host must not lose its VMs to that.

    Raises:
        OSError: neither could be done.

    """
    text = f"{moment:020.6f}"
    new = run / f"{HELD_UNTIL}.new"
    try:
        new.write_text(text, encoding="ascii")
        new.replace(run / HELD_UNTIL)
    except OSError:
        with (run / HELD_UNTIL).open("r+", encoding="ascii") as file:
            file.write(text)


def has_lapsed(run: Path, now: float) -> bool:
    """Tell whether the lease lapsed longer than `GRACE_SECONDS` ago; `now` as `time.monotonic` has it."""
    try:
        return now > float((run / HELD_UNTIL).read_text(encoding="ascii")) + GRACE_SECONDS
    except (OSError, ValueError):
        return False


def end_vms(run: Path, processes: Path = Path("/proc")) -> int:
    """Kill the QEMUs of VMs, which libvirt has written down by their process ids; answers how many."""
    ended = 0
    for file in (run / "qemu").glob("vm-*.pid"):
        with contextlib.suppress(OSError, ValueError):
            number = int(file.read_text(encoding="ascii"))
            words = (processes / str(number) / "cmdline").read_bytes()
            if f"guest={file.stem},".encode() in words:
                os.kill(number, signal.SIGKILL)
                ended += 1
    return ended


def main() -> None:
    """Look every second until killed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    while True:
        if has_lapsed(_RUN, time.monotonic()):
            ended = end_vms(_RUN)
            if ended:
                _log.warning("the host's lease has lapsed and its worker does nothing: ended %d VMs", ended)
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    main()
