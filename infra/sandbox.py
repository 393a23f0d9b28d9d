"""Namespaces for the image builders: what runs in one ends with it, and its mounts were never outside.

See unshare(1). Without root the same is done in a user namespace with the caller's subordinate ids
(subuid(5)), so the program is root inside either way.
"""

import os
from collections.abc import Sequence


def sandboxed(argv: Sequence[str], *, network: bool = False) -> list[str]:
    """Wrap `argv` so that it runs as root in mount, UTS, IPC and PID namespaces of its own.

    Its PID namespace dies with it (`--kill-child`), and with that every process, mount and tmpfs that
    it made. Without `network` it has no interface but a loopback of its own that is down.
    """
    prefix = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    if not network:
        prefix.append("--net")
    if os.geteuid() != 0:
        prefix += ["--user", "--map-root-user", "--map-auto"]
    return [*prefix, "--propagation", "private", "--", *argv]
