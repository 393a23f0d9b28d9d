"""Which tests run beside each other when pytest has several workers (pytest-xdist).

What boots machines keeps to one lane, one test after the other on one worker: two emulated guests at a time would be
starved of CPU into their timeouts. The rest goes to the other workers file by file, so that what a module's tests
share is made once. The lane begins at once, as it takes longest; its worker joins the others after it.
"""

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

_LANE = "machines"
HEAVY = (
    "tests/e2e",
    "tests/faults",
    "tests/integration/consoles",
    "tests/integration/machines",
)


def lane_of(nodeid: str) -> str:
    """Name what a test must share a worker with."""
    file = nodeid.split("::", 1)[0]
    return _LANE if any(PurePosixPath(file).is_relative_to(folder) for folder in HEAVY) else file


class Lanes(LoadScopeScheduling):
    """Gives a worker a lane or a file at a time; asked for by `--dist loadscope --no-loadscope-reorder`."""

    def _split_scope(self, nodeid: str) -> str:
        return lane_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        if _LANE in self.workqueue:
            self.workqueue.move_to_end(_LANE, last=False)
        super()._assign_work_unit(node)
