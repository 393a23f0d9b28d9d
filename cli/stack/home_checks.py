"""What doctor looks at in the data folder: room, permissions, ports, and what a killed stack left."""

import os
import shutil
import stat
from pathlib import Path
from typing import Final

from cli.stack import leftovers
from cli.stack.findings import Check, Finding, bad, note, ok
from cli.stack.home import held, is_held
from cli.stack.ports import is_free
from infra.settings import Settings

_GIBIBYTE: Final = 1 << 30
_ROOM_NEEDED: Final = 8 * _GIBIBYTE
_ROOM_WISHED: Final = 20 * _GIBIBYTE


class HomeChecks:
    """The checks of one data folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = settings.home

    def all(self) -> tuple[Check, ...]:
        """List them."""
        return (
            Check(name="data folder", look=self.permissions, fix=self.mend_permissions),
            Check(name="disk", look=self.room),
            Check(name="port", look=self.port),
            Check(name="leftovers", look=self.leftovers, fix=self.end_leftovers),
        )

    async def permissions(self) -> Finding:
        """See if the folder is ours, and shut to others."""
        name = "data folder"
        if not self._home.exists():
            if os.access(_nearest(self._home), os.W_OK):
                return ok(name, f"{self._home} will be made")
            return bad(name, f"{self._home} cannot be made", "Set OPENFACTORY_HOME to a folder that you can write.")
        if self._home.stat().st_uid != os.geteuid():
            return bad(name, f"{self._home} belongs to another user", "Run this as that user, or set OPENFACTORY_HOME.")
        loose = [str(p) for p in self._private() if stat.S_IMODE(p.stat().st_mode) & 0o077]
        if loose:
            return bad(name, f"open to other users: {', '.join(loose)}", "Run: openfactory doctor --fix")
        return ok(name, f"{self._home}, of this account alone")

    async def mend_permissions(self) -> None:
        """Shut what is ours to others."""
        if self._home.exists() and self._home.stat().st_uid == os.geteuid():
            for path in self._private():
                path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o700)

    def _private(self) -> list[Path]:
        secrets = self._settings.secrets
        return [self._home, *([secrets, *secrets.iterdir()] if secrets.is_dir() else [])]

    async def room(self) -> Finding:
        """See how much is free."""
        free = shutil.disk_usage(_nearest(self._home)).free
        message = f"{free / _GIBIBYTE:.0f} GiB free at {_nearest(self._home)}"
        if free < _ROOM_NEEDED:
            return bad("disk", message, "A build needs about 8 GiB: make room, or move OPENFACTORY_HOME.")
        if free < _ROOM_WISHED:
            return note("disk", message, "Enough for a few builds; 20 GiB are better.")
        return ok("disk", message)

    async def port(self) -> Finding:
        """See if the public port can be had, or is ours already."""
        where = f"{self._settings.bind}:{self._settings.port}"
        if is_free(self._settings.port, self._settings.bind):
            return ok("port", f"{where} is free")
        if is_held(self._settings):
            return ok("port", f"{where} is that of the running stack")
        return bad("port", f"another program listens on {where}", "Set OPENFACTORY_PORT to a free one.")

    async def leftovers(self) -> Finding:
        """See if a killed stack left processes."""
        if is_held(self._settings):
            return ok("leftovers", "a stack is running")
        left = leftovers.find(self._home, self._settings.run)
        if left:
            pids = ", ".join(str(p.pid) for p in left)
            return bad("leftovers", f"processes of a killed stack: {pids}", "Run: openfactory doctor --fix, or up.")
        return ok("leftovers", "none")

    async def end_leftovers(self) -> None:
        """End what a killed stack left."""
        if self._settings.run.is_dir():
            with held(self._settings):
                leftovers.end(leftovers.find(self._home, self._settings.run))


def _nearest(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())
