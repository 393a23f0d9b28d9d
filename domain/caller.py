"""Who asks, and what they may do."""

from datetime import datetime
from enum import StrEnum

from domain.model import Value


class Permission(StrEnum):
    """What a caller may be allowed; tools name exactly one."""

    READ = "read"
    BUILD = "build"
    VM = "vm"
    TEST = "test"
    UPLOAD = "upload"


class Caller(Value):
    """An authenticated caller of one organization. `expires_at` is when the credential ends, if it does."""

    org_id: str
    subject: str
    plan: str
    permissions: frozenset[Permission]
    expires_at: datetime | None = None
