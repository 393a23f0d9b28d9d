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
"""The projector notifies `<aggregate id> <version>` here when a row shows that version."""
ORG_SETTING: Final = "app.org_id"
