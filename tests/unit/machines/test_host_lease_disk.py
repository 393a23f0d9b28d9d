"""A host whose disk is full keeps its lease: what it cannot write down it remembers."""

from pathlib import Path
from typing import cast

import pytest
from temporalio.client import Client

from activities.machines.host_lease import HostLease
from activities.machines.vm_models import HoldHost


class Vms:
    def __init__(self) -> None:
        self.until = 0.0

    async def obey(self, hold: HoldHost) -> int:
        return 0

    async def fence(self) -> int:
        return 0

    def hold_until(self, moment: float) -> None:
        self.until = moment


async def announce() -> None:
    """Nobody is there to hear."""


def test_a_lease_that_cannot_be_written_down_is_held_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "host").write_text("a file where the folder should be", encoding="ascii")
    vms = Vms()
    lease = HostLease(tmp_path / "host" / "lease.json", cast("Client", None), vms, announce)
    lease._note_acknowledged(100.0)  # pyright: ignore[reportPrivateUsage] - all else of it needs a server
    assert vms.until > 100.0
    assert "could not be written down" in caplog.text
