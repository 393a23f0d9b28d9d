"""The names that the event store gives to things in the database."""

from typing import Final

OWNER_ROLE: Final = "openfactory_owner"
FRONT_ROLE: Final = "openfactory_front"

LOG_SCHEMA: Final = "event_log"
"""The log and the projections' positions: the owner's alone."""
READ_SCHEMA: Final = "read_model"
"""The read models: the front may select its organization's rows."""

LOG_TABLE: Final = "stored_events"
PROJECTIONS_TABLE: Final = "projections"

APPENDED_CHANNEL: Final = "stored_events"
"""The library notifies this channel, named after its table, in every appending transaction."""
VIEWED_CHANNEL: Final = "read_model"
"""Who writes a row notifies here which version it shows (`projection.notice`): the append of a new aggregate, else the
projector."""
ORG_SETTING: Final = "app.org_id"
