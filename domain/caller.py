"""Who asks, and what they may do."""

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
    """An authenticated caller of one organization."""

    org_id: str
    subject: str
    plan: str
    permissions: frozenset[Permission]
