"""Uploaded images in memory."""

from datetime import UTC, datetime

from domain.image.commands import DeleteImage, ImageCommand, ReceiveImage, RequestImage
from domain.image.decide import decide
from domain.image.inputs import ImageRequest
from domain.image.state import ImageState, ImageStatus, evolve
from event_store.models.images import ImageStatePage
from tests.fakes.pages import place_of

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


class FakeImages:
    """The workflows of images, each command folded at once into `states`."""

    def __init__(self, states: dict[str, ImageState]) -> None:
        self.states = states
        self.received: list[str] = []

    async def start_image(self, request: ImageRequest) -> None:
        """Announce an upload."""
        self.do(request.image_id, RequestImage(request=request, upload_seconds=3600))

    async def image_known(self, image_id: str, org_id: str) -> str | None:
        """Return the input digest of the upload."""
        state = self.states.get(image_id)
        return state.input_digest if state is not None and state.org_id == org_id else None

    async def image_received(self, image_id: str) -> None:
        """Note that all bytes are there."""
        self.received.append(image_id)
        self.do(image_id, ReceiveImage())

    async def delete_image(self, image_id: str, requested_by: str) -> None:
        """Forget the image."""
        self.do(image_id, DeleteImage(requested_by=requested_by))

    def do(self, image_id: str, command: ImageCommand) -> None:
        """Decide and fold."""
        for event in decide(self.states.get(image_id), command, now=NOW):
            self.states[image_id] = evolve(self.states.get(image_id), event)


class FakeImageReads:
    """The images of one organization."""

    def __init__(self, states: dict[str, ImageState], org_id: str) -> None:
        self._mine = [state for state in states.values() if state.org_id == org_id]

    async def get(self, image_id: str) -> ImageState | None:
        """Read one."""
        return next((state for state in self._mine if state.image_id == image_id), None)

    async def page(self, *, limit: int, cursor: str | None = None, status: ImageStatus | None = None) -> ImageStatePage:
        """List them."""
        fitting = [s for s in self._mine if (s.status != "deleted" if status is None else s.status == status)]
        start = place_of(cursor)
        more = str(start + limit) if len(fitting) > start + limit else None
        return ImageStatePage(images=tuple(fitting[start : start + limit]), next_cursor=more)
