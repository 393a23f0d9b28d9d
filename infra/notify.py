"""Telling whoever started this process that it is ready: sd_notify(3), the one line of it that we need."""

import os
import socket


def ready() -> None:
    """Say that this process serves now. Without a `NOTIFY_SOCKET` nobody asked; saying it twice is harmless."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        # A leading @ is how an address in the abstract namespace is written in an environment (unix(7)).
        channel.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)
