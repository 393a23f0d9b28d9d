"""Queues, timeouts and retries, as named constants."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy, SearchAttributeKey

CORE_QUEUE = "core"
IMAGING_QUEUE = "imaging"

JOB_KIND = SearchAttributeKey.for_keyword("JobKind")
JOB_STATE = SearchAttributeKey.for_keyword("JobState")
ORG_ID = SearchAttributeKey.for_keyword("OrgId")
RECIPE = SearchAttributeKey.for_keyword("Recipe")

QUESTION_TURN = 2
JOB_TURN = 3
UNASKED_TURN = 4
"""In which order tasks that wait for a worker are taken, 1 to 5: questions, jobs, what a schedule asks for."""

RETRY_WINDOW = timedelta(days=7)
"""How long a failed job waits for a `retry` signal."""

HEARTBEAT = timedelta(seconds=20)
"""Several times `activities.session.HEARTBEAT_SECONDS`.

Cancellation travels by heartbeat, and a dead worker shows by the lack of it.
"""

HEARTBEAT_THROTTLE = timedelta(seconds=2)
"""How often a worker really sends heartbeats; without it a cancellation takes 0.8 of `HEARTBEAT` to arrive."""

HOST_PICKUP = timedelta(minutes=10)
"""How long a step may wait for the host it is bound to before that host counts as lost."""

STEP_LIMIT: Final[Mapping[str, timedelta]] = {
    "resolve": timedelta(minutes=15),
    "base_layer": timedelta(minutes=45),
    "package_layer": timedelta(hours=2),
    "configuration_layer": timedelta(minutes=20),
    "assemble": timedelta(hours=1),
    "boot": timedelta(minutes=30),
    "verify": timedelta(hours=1),
    "publish": timedelta(hours=2),
}
"""The longest a step may take, by name."""

FAULTS = RetryPolicy(
    initial_interval=timedelta(seconds=2),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=5,
)
"""For effects: a fault is tried again, a verdict is not (it is marked non-retryable)."""

RECORD = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=10)
)
"""For the log: a fact that happened must be recorded, however long the database is away."""
RECORD_LIMIT = timedelta(seconds=15)

UPLOAD_WINDOW = timedelta(days=1)
"""How long the bytes of an announced upload are awaited."""
IMPORT_LIMIT = timedelta(hours=2)
IMPORT = RetryPolicy(
    initial_interval=timedelta(seconds=2), backoff_coefficient=2.0, maximum_interval=timedelta(minutes=5)
)
"""For bytes that somebody has sent, perhaps for hours: no fault of the factory's has them sent again."""

RUN_LIMIT = timedelta(hours=4)
"""How long a test run may take; its machines live no longer, whatever becomes of its workflow."""
MACHINES_LIMIT = timedelta(hours=1)
"""How long the machines of a test run may take until all guests answer, waiting for room included."""
CHECK_LIMIT = timedelta(minutes=20)
"""How long checks may take beyond the time that they themselves ask for."""
CHECK_PICKUP = timedelta(minutes=2)
"""How long a check may wait for the host of its machine before that host counts as lost."""
REPORT_LIMIT = timedelta(minutes=5)

QUESTION_LIMIT = timedelta(minutes=3)
"""For questions that a caller waits for."""

ONCE = RetryPolicy(maximum_attempts=1)
"""For what is nice to have, and for what must not be done twice."""

LONGEST_HISTORY = 2_000
"""Events after which a workflow that lives long continues as new."""

HOST_SILENCE = timedelta(seconds=45)
"""How long a host may be silent before it is lost. It ends its machines by itself after 30 s without an answer."""

HOLD_LIMIT = timedelta(days=30)
"""How long one hold of a host lasts before it is begun anew."""

FLEET_PATIENCE = timedelta(minutes=5)
"""How often a machine or a build in the queue asks again, in case the fleet was begun anew."""

LOOK_LIMIT = timedelta(hours=1)
"""How long a look for updates of packages may take, waiting for a host included."""

SLOT_PICKUP = timedelta(seconds=60)
"""How long a host may take to pick up a build that the fleet gave it: longer than it may be silent."""

TAKE_LIMIT = timedelta(minutes=5)
"""How long a host may take to say what it has for a build; on a full disk it makes room first."""

FLEET_ABSENCE = timedelta(seconds=5)
"""How long a machine waits before it looks again for a fleet that is not there."""

START_PATIENCE = timedelta(minutes=10)
"""How long a machine that is started again waits for room on the host that has its disk."""

VM_LIMIT: Final[Mapping[str, timedelta]] = {
    "create_vm": timedelta(hours=1),
    "start_vm": timedelta(minutes=5),
    "await_agent": timedelta(minutes=30),
    "stop_vm": timedelta(minutes=15),
    "delete_vm": timedelta(minutes=5),
    "take_snapshot": timedelta(minutes=15),
    "restore_snapshot": timedelta(minutes=15),
    "drop_snapshot": timedelta(minutes=5),
    "open_forward": timedelta(seconds=30),
    "inspect_vm": timedelta(seconds=30),
    "take_screenshot": timedelta(seconds=30),
    "run_command": timedelta(minutes=11),
}
"""The longest that an attempt at an activity of a machine may take, by name."""

VM_PICKUP = timedelta(minutes=2)
"""How long a machine's activity may wait for its host. A host that is away for longer is declared lost before."""

LOST_PICKUP = timedelta(seconds=30)
"""How long the removal of a machine waits for a host that is lost: it cleans up by itself when it is back."""

REMOVE_AGAIN = timedelta(seconds=30)
"""How long a removal that failed waits before it is tried again."""

QUESTION_ATTEMPTS = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_attempts=2)
"""For what a caller waits for."""

RECONCILE_EVERY = timedelta(minutes=1)
"""How often jobs that nobody will end are looked for."""
FIND_LIMIT = timedelta(seconds=60)
REMOVE_LIMIT = timedelta(minutes=5)
"""How long a host may take to remove what an ended job left."""
FEW = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=3)
"""For what is tried again soon anyway."""

COLLECT_EVERY = timedelta(hours=1)
"""How often what nobody refers to is removed."""
SWEEP_LIMIT = timedelta(hours=1)
HISTORIES_EVERY = timedelta(minutes=5)
"""How often the histories of closed runs are kept."""
