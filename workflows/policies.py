"""Queues, timeouts and retries, as named constants."""

from datetime import timedelta

from temporalio.common import RetryPolicy, SearchAttributeKey

CORE_QUEUE = "core"
IMAGING_QUEUE = "imaging"

JOB_KIND = SearchAttributeKey.for_keyword("JobKind")
JOB_STATE = SearchAttributeKey.for_keyword("JobState")
ORG_ID = SearchAttributeKey.for_keyword("OrgId")
RECIPE = SearchAttributeKey.for_keyword("Recipe")

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

STEP_LIMIT = {
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

QUESTION_LIMIT = timedelta(minutes=3)
"""For questions that a caller waits for."""
