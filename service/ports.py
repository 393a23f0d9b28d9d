"""What the service needs of the rest of the factory, as protocols; `wiring.py` plugs in the real parts."""

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

from domain.build.commands import DeleteBuild
from domain.build.inputs import BuildRequest, QueueTerms
from domain.build.names import BuildTag
from domain.build.progress import StepDuration
from domain.build.state import BuildState, BuildStatus
from domain.caller import Caller
from domain.console import ConsoleGrant, ConsoleSession, ConsoleTicket
from domain.image.inputs import ImageRequest
from domain.image.state import ImageState, ImageStatus
from domain.metering import Spent
from domain.views import BuildPage
from event_store.models.builds import Outlook
from event_store.models.images import ImageStatePage
from event_store.org_reads import Model
from infra.log_find import LogWish
from infra.ports import FoundPage, LogPage, LogRecord, ObjectInfo
from infra.signed_links import BuildOf, LinkGrant
from infra.uploads import UploadGrant
from service.rebuild_ports import RebuildReads
from service.recipe_ports import SavedRecipeReads
from service.suite_ports import RunReads, SuiteReads
from service.vm_ports import VmReads
from workflows.commands import CancelCommand, RetryCommand, ValidateInput, ValidateResult
from workflows.slot_models import QueuePlace


class BuildReads(Protocol):
    """The builds of one organization."""

    async def get(self, build_id: str) -> BuildState | None:
        """Return a build, or nothing if it is absent or another organization's."""
        ...

    async def page(
        self, *, limit: int, cursor: str | None = None, status: BuildStatus | None = None, name: str | None = None
    ) -> BuildPage:
        """List builds, newest first. Raises `Verdict` (`cursor.invalid`) for a cursor that is not ours."""
        ...

    async def newest(self, tag: BuildTag) -> str | None:
        """Return the id of the build that a tag stands for now, or nothing if there is none."""
        ...

    async def beginning(self, digits: str, *, limit: int) -> tuple[str, ...]:
        """Return the ids that begin with these digits, at most so many."""
        ...

    async def called(self, beginning: str, *, limit: int) -> tuple[str, ...]:
        """Return the ids of builds whose id or name begins like this, newest first, at most so many."""
        ...

    async def outlook(self, name: str) -> Outlook:
        """Count the builds that have not begun yet and those under way, and tell the `durations` of this name."""
        ...

    async def durations(self, name: str) -> tuple[StepDuration, ...]:
        """Tell how long the steps of recent completed builds of this recipe name took, or of any if it has none."""
        ...


class ImageReads(Protocol):
    """The uploaded images of one organization."""

    async def get(self, image_id: str) -> ImageState | None:
        """Return an image, or nothing if it is absent or another organization's."""
        ...

    async def page(self, *, limit: int, cursor: str | None = None, status: ImageStatus | None = None) -> ImageStatePage:
        """List images, newest first. Raises `Verdict` (`cursor.invalid`) for a cursor that is not ours."""
        ...


class MeterReads(Protocol):
    """What one organization has spent of its allowance."""

    async def spent(self) -> Spent:
        """Return what counts now."""
        ...


class OrgReads(Protocol):
    """The read models as one organization sees them; other organizations' rows do not exist here."""

    @property
    def builds(self) -> BuildReads:
        """The builds."""
        ...

    @property
    def vms(self) -> VmReads:
        """The machines."""
        ...

    @property
    def images(self) -> ImageReads:
        """The uploaded images."""
        ...

    @property
    def meters(self) -> MeterReads:
        """What was spent."""
        ...

    @property
    def suites(self) -> SuiteReads:
        """The test suites."""
        ...

    @property
    def saved_recipes(self) -> SavedRecipeReads:
        """The saved recipes."""
        ...

    @property
    def rebuilds(self) -> RebuildReads:
        """The rebuild schedules."""
        ...

    @property
    def test_runs(self) -> RunReads:
        """The test runs."""
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

    async def start_build(self, request: BuildRequest, terms: QueueTerms) -> bool:
        """Start the build's workflow; false if there was one of that id already, which is left as it is."""
        ...

    async def build_queue(self, org_id: str) -> tuple[QueuePlace, ...]:
        """Tell the places of an organization's builds that wait for their turn."""
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

    async def delete_build(self, build_id: str, command: DeleteBuild) -> int:
        """Record that a build is deleted and return the log's version; raises `Verdict` (`build.not_ended`)."""
        ...

    async def validate_recipe(self, question: ValidateInput) -> ValidateResult:
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

    async def find(
        self,
        job_id: str,
        wish: LogWish,
        cursor: str | None = None,
        *,
        limit_bytes: int = 256 << 10,
        limit_lines: int = 1000,
    ) -> FoundPage:
        """Find lines behind `cursor`; one call reads a bounded part of the log. Raises as `read` does."""
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

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Read a small object or a part of one; `Verdict` (`object.not_found`) if there is none."""
        ...

    async def stat(self, key: str) -> ObjectInfo | None:
        """Tell an object's size, or nothing if there is none."""
        ...

    async def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write a small object; writing the same again is harmless."""
        ...

    async def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[ObjectInfo, ...]:
        """List objects in key order, beginning behind the key `after`."""
        ...


class Links(Protocol):
    """Signs download links and tells which object one is for."""

    def sign(self, *, key: str, name: str, expires_at: datetime, build: BuildOf | None = None) -> str:
        """Return a URL-safe token for one object under one file name, of a build or by itself."""
        ...

    def verify(self, token: str, *, name: str, now: datetime) -> LinkGrant:
        """Return what it opens. Raises `Verdict`: `link.expired`, or `link.invalid` for any other token."""
        ...


class Uploads(Protocol):
    """Signs upload links and tells what one allows."""

    def sign(self, grant: UploadGrant, *, expires_at: datetime) -> str:
        """Return a URL-safe token for the bytes of one image."""
        ...

    def verify(self, token: str, *, now: datetime) -> UploadGrant:
        """Return what it allows. Raises `Verdict`: `link.expired`, or `link.invalid` for any other token."""
        ...


class Images(Protocol):
    """The workflows of uploaded images. Every method raises `Fault` when the workflow engine does not answer."""

    async def start_image(self, request: ImageRequest) -> None:
        """Announce an upload; announcing the same id again is harmless."""
        ...

    async def image_known(self, image_id: str, org_id: str) -> str | None:
        """Return the input digest of the organization's upload of this id, or nothing."""
        ...

    async def image_received(self, image_id: str) -> None:
        """Say that all bytes are there; harmless to repeat."""
        ...

    async def delete_image(self, image_id: str, requested_by: str) -> None:
        """Forget an image; harmless to repeat."""
        ...


class CredentialVerifier(Protocol):
    """Turns what a caller presents into a caller. Accounts, guests and sessions plug in here."""

    async def verify(self, credential: str) -> Caller | None:
        """Return the caller, or nothing if the credential is not valid. Takes the same time either way."""
        ...


class MintedLink(NamedTuple):
    """A link's token, which exists nowhere else."""

    token: str
    expires_at: datetime


class OpenedConsole(NamedTuple):
    """What a link opened, and the secret by which its page is known from now on."""

    session: ConsoleSession
    secret: str


class ConsoleAdmission(Protocol):
    """Links to consoles and the sessions that they open. Every method raises `Fault` when it cannot know."""

    async def mint(self, grant: ConsoleGrant) -> MintedLink:
        """Make a link that works once, for 60 seconds."""
        ...

    async def open(self, token: str) -> OpenedConsole | None:
        """Use a link up and begin its session; nothing if it was used, has expired or never was."""
        ...

    async def find(self, token: str, secret: str) -> ConsoleSession | None:
        """Return the session of a link that was opened, for whoever holds its secret."""
        ...

    async def living(self, session_ids: Collection[str]) -> frozenset[str]:
        """Tell which of the sessions have not been ended."""
        ...

    async def revoke(self, org_id: str, *, vm_id: str | None = None, subject: str | None = None) -> int:
        """End an organization's links and sessions: all, or those of a machine or of somebody; counts them."""
        ...


class ConsoleTickets(Protocol):
    """Signs what a host's console relay wants to see."""

    def sign(self, ticket: ConsoleTicket) -> str:
        """Return a token that fits into a header."""
        ...


class ClientSessions(Protocol):
    """Makes and understands the ids of older clients' sessions."""

    def close(self, fact: str, *, owner: str) -> str:
        """Return an id that holds the fact for its owner."""
        ...

    def open(self, session_id: str, *, owner: str) -> str | None:
        """Return the fact, or nothing if the id is not this owner's."""
        ...
