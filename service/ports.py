"""What the service needs of the rest of the factory, as protocols; `wiring.py` plugs in the real parts."""

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from domain.build.inputs import BuildRequest
from domain.build.state import BuildState, BuildStatus
from domain.caller import Caller
from event_store.models.builds import BuildStatePage, StepDuration
from event_store.org_reads import Model
from infra.ports import LogPage, LogRecord, ObjectInfo
from workflows.commands import CancelCommand, RetryCommand, ValidateInput, ValidateResult


class BuildReads(Protocol):
    """The builds of one organization."""

    async def get(self, build_id: str) -> BuildState | None:
        """Return a build, or nothing if it is absent or another organization's."""
        ...

    async def page(
        self, *, limit: int, cursor: str | None = None, status: BuildStatus | None = None, name: str | None = None
    ) -> BuildStatePage:
        """List builds, newest first. Raises `Verdict` (`cursor.invalid`) for a cursor that is not ours."""
        ...

    async def durations(self, name: str | None = None) -> tuple[StepDuration, ...]:
        """Tell how long the steps of recent completed builds took, of one recipe name or of any."""
        ...


class OrgReads(Protocol):
    """The read models as one organization sees them; other organizations' rows do not exist here."""

    @property
    def builds(self) -> BuildReads:
        """The builds."""
        ...


class ReadModels(Protocol):
    """The read side. Every method raises `Fault` when the database does not answer."""

    def org(self, org_id: str) -> AbstractAsyncContextManager[OrgReads]:
        """Open one organization's view, for a few questions in one transaction."""
        ...

    async def wait_for(self, org_id: str, model: Model, key: str, version: int, timeout: float) -> bool:  # noqa: ASYNC109 - running out of time is an answer here
        """Return true once the aggregate `key` is at `version` or later, or false after `timeout` seconds."""
        ...

    async def ping(self) -> None:
        """Return if the read side answers."""
        ...


class Workflows(Protocol):
    """The workflow client. Every method raises `Fault` when the workflow engine does not answer."""

    async def start_build(self, request: BuildRequest) -> None:
        """Start the build's workflow; starting the same id again is harmless."""
        ...

    async def build_known(self, build_id: str, org_id: str) -> str | None:
        """Return the input digest of the organization's workflow of this build, or nothing."""
        ...

    async def retry_build(self, build_id: str, command: RetryCommand) -> None:
        """Ask a parked build to go on; a repeated command id is harmless."""
        ...

    async def cancel_build(self, build_id: str, command: CancelCommand) -> None:
        """Ask a build to end; a repeated command id is harmless."""
        ...

    async def validate_recipe(self, request: ValidateInput) -> ValidateResult:
        """Have a worker solve the recipe's packages."""
        ...

    async def ping(self) -> None:
        """Return if the workflow engine answers."""
        ...


class JobLogs(Protocol):
    """The logs of jobs. A cursor is opaque and says up to where its holder has read."""

    async def read(
        self,
        job_id: str,
        cursor: str | None = None,
        *,
        limit_bytes: int = 256 << 10,
        limit_records: int = 1000,
        wait_s: float = 0.0,
        steps: Collection[str] | None = None,
    ) -> LogPage:
        """Return records behind `cursor` (the beginning without one), waiting `wait_s` seconds for the first.

        Raises `Verdict` (`log.bad_cursor`), or `Fault` when the logs cannot be read.
        """
        ...

    async def tail(self, job_id: str, n: int) -> LogPage:
        """Return the last `n` lines; the cursor continues behind them."""
        ...

    async def progress(self, job_id: str) -> LogRecord | None:
        """Return the latest progress record, if there is any."""
        ...


class Objects(Protocol):
    """The artifacts' bytes, as downloads need them."""

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Read an object in chunks; `Verdict` (`object.not_found`) if there is none."""
        ...

    async def stat(self, key: str) -> ObjectInfo | None:
        """Tell an object's size, or nothing if there is none."""
        ...


class Links(Protocol):
    """Signs download links and tells which object one is for."""

    def sign(self, *, key: str, name: str, expires_at: datetime) -> str:
        """Return a URL-safe token for one object under one file name."""
        ...

    def verify(self, token: str, *, name: str, now: datetime) -> str:
        """Return the object's key. Raises `Verdict`: `link.expired`, or `link.invalid` for any other token."""
        ...


class CredentialVerifier(Protocol):
    """Turns what a caller presents into a caller. Accounts, guests and sessions plug in here."""

    async def verify(self, credential: str) -> Caller | None:
        """Return the caller, or nothing if the credential is not valid. Takes the same time either way."""
        ...
