"""Where the private libvirt of one home keeps its files, seen from outside and from inside its namespace.

The daemon's mount namespace has five folders of the home bound over the places where libvirt looks for
its own, and the blob store, read-only, over the place of its images. QEMU runs as a user that may not
even enter the home; inside the namespace no folder of the home is on its way.
"""

import os
import pwd
from pathlib import Path, PurePosixPath
from typing import NamedTuple

INSIDE_IMAGES = PurePosixPath("/var/lib/libvirt/images")
_INSIDE_MACHINES = PurePosixPath("/var/lib/libvirt/machines")
_INSIDE_SOCKETS = PurePosixPath("/run/libvirt/m")
_QEMU_ACCOUNT = "libvirt-qemu"


class QemuUser(NamedTuple):
    """The account that QEMU runs as, named as the daemon's namespace names it."""

    name: str
    group: str
    uid: int
    gid: int


class LibvirtPaths(NamedTuple):
    """The folders of one private libvirt below `home`."""

    home: Path

    @property
    def root(self) -> Path:
        """All of libvirt's folders; only the factory's own account may enter."""
        return self.home / "libvirt"

    @property
    def store(self) -> Path:
        """The content-addressed blobs."""
        return self.home / "store"

    @property
    def uri(self) -> str:
        """What `libvirt.open` and `virsh -c` take."""
        return f"qemu:///system?socket={self.socket}"

    @property
    def socket(self) -> Path:
        """The daemon's socket."""
        return self.root / "run" / "libvirt-sock"

    @property
    def machines(self) -> Path:
        """One folder per machine: its disks, firmware variables and serial log."""
        return self.root / "lib" / "machines"

    @property
    def sockets(self) -> Path:
        """One folder per machine: its VNC and serial sockets. Short, because of sun_path (unix(7))."""
        return self.root / "run" / "m"

    @property
    def binds(self) -> tuple[tuple[Path, PurePosixPath], ...]:
        """Folders of the home and where the namespace has them, in the order of mounting."""
        return (
            (self.root / "etc", PurePosixPath("/etc/libvirt")),
            (self.root / "run", PurePosixPath("/run/libvirt")),
            (self.root / "lib", PurePosixPath("/var/lib/libvirt")),
            (self.root / "log", PurePosixPath("/var/log/libvirt")),
            (self.root / "cache", PurePosixPath("/var/cache/libvirt")),
            (self.store, INSIDE_IMAGES),
        )

    def inside_machine(self, name: str) -> PurePosixPath:
        """Where the namespace has the folder of the machine `name`."""
        return _INSIDE_MACHINES / name

    def inside_sockets(self, name: str) -> PurePosixPath:
        """Where the namespace has the sockets of the machine `name`."""
        return _INSIDE_SOCKETS / name

    def inside_blob(self, digest: str) -> PurePosixPath:
        """Where the namespace has the blob `digest`."""
        return INSIDE_IMAGES / digest[:2] / digest

    def blob(self, digest: str) -> Path:
        """Where the host has the blob `digest`."""
        return self.store / digest[:2] / digest


def qemu_user() -> QemuUser:
    """Who QEMU runs as: the distribution's account for it when the factory runs as root.

    Without root it is the namespace's root, which is the factory's own account and nothing more.
    Without that account on the host it is `nobody`; never the real root.
    """
    if os.geteuid() != 0:
        return QemuUser(name="root", group="root", uid=os.geteuid(), gid=os.getegid())
    for name in (_QEMU_ACCOUNT, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return QemuUser(name=name, group=f"+{entry.pw_gid}", uid=entry.pw_uid, gid=entry.pw_gid)
    return QemuUser(name="+65534", group="+65534", uid=65534, gid=65534)
