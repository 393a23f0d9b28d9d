"""What a host's relay needs of the machines beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Screens(Protocol):
    """Where the machines' screens are."""

    def __call__(self, vm_id: str) -> Path:
        """Return the path of a machine's VNC socket, whether it is there or not. It asks for no password."""
        ...


class SerialTap(Protocol):
    """One viewer at a serial port."""

    @property
    def replay(self) -> bytes:
        """What the guest wrote before the viewer came: the last of it."""
        ...

    async def write(self, data: bytes) -> None:
        """Give input to the guest; returns when the port has taken it. Raises `OSError` when the port is gone."""
        ...

    def close(self) -> None:
        """Go away; harmless to repeat. The listener is not called any more."""
        ...


class SerialHub(Protocol):
    """The serial ports of the running machines of this host, each of which somebody reads all the time."""

    def attach(self, vm_id: str, listener: Callable[[bytes], None]) -> SerialTap | None:
        """Let `listener` have what the guest writes from now on; nothing if there is no such port.

        It is called in the event loop, in order, without a gap to `replay`, and with `b""` once when
        the port has closed. It returns at once, so that no viewer holds up the guest.
        """
        ...
