"""The factory as the service sees it: every part a question or command may need, opened once."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from domain.version import VERSION
from service.guest_ports import DenialLog, Guests
from service.limits import Limits
from service.ports import (
    ClientSessions,
    ConsoleAdmission,
    ConsoleTickets,
    CredentialVerifier,
    Images,
    JobLogs,
    Links,
    Objects,
    ReadModels,
    Uploads,
    Workflows,
)
from service.rebuild_ports import Rebuilds
from service.recipe_catalog import Catalog
from service.recipe_ports import SavedRecipes
from service.suite_ports import Tests
from service.vm_ports import Machines


def _now() -> datetime:
    return datetime.now(UTC)


def _random_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, kw_only=True)
class Factory:
    """Open parts and fixed facts.

    `public_url` has no slash at its end; `allowed_hosts` are the names, without a port, by which
    browsers and clients may call the factory. Without `guests` there are none.
    """

    reads: ReadModels
    workflows: Workflows
    logs: JobLogs
    objects: Objects
    links: Links
    uploads: Uploads
    images: Images
    tests: Tests
    saved_recipes: SavedRecipes
    vms: Machines
    rebuilds: Rebuilds
    consoles: ConsoleAdmission
    tickets: ConsoleTickets
    sessions: ClientSessions
    credentials: CredentialVerifier
    denials: DenialLog
    catalog: Catalog
    public_url: str
    allowed_hosts: tuple[str, ...] = ()
    guests: Guests | None = None
    limits: Limits = field(default_factory=Limits)
    version: str = VERSION
    now: Callable[[], datetime] = _now
    new_id: Callable[[], str] = _random_id
