"""Tools about uploaded images."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import Field

from domain.image.inputs import ImageFormat
from domain.image.state import ImageStatus
from domain.image.views import ImagePage, ImageView
from mcp_server.callers import CallerOf
from mcp_server.face import END, READ, START, face
from mcp_server.tools.arguments import RequestKey
from service import images
from service.factory import Factory
from service.images import MOST_IMAGES

ImageId = Annotated[str, Field(description="The image's id, as create_image_upload or list_images gave it.")]


class ImageTools:
    """Tools about images that were not built here."""

    def __init__(self, factory: Factory, caller_of: CallerOf) -> None:
        self._factory = factory
        self._caller_of = caller_of

    @face("Upload an image", START)
    async def create_image_upload(
        self,
        ctx: Context[Any, Any],
        name: Annotated[str, Field(description="A file name, for people.")],
        format: Annotated[ImageFormat, Field(description="qcow2 or iso.")],  # noqa: A002 - the tool's argument
        bytes: Annotated[int, Field(description="The file's size.", ge=1)],  # noqa: A002 - the tool's argument
        sha256: Annotated[str, Field(description="The file's SHA-256, 64 lower-case hexadecimal digits.")],
        request_key: RequestKey = None,
    ) -> ImageView:
        """Announce a bootable image of your own; answers upload_url, which takes the bytes (tus 1.0.0, resumable).

        The digest is checked when all bytes are there. A ready image can be given to create_vm.
        """
        announced: dict[str, object] = {"name": name, "format": format, "bytes": bytes, "sha256": sha256}
        return await images.create_image_upload(self._factory, self._caller_of(ctx), announced, request_key=request_key)

    @face("List uploaded images", READ)
    async def list_images(
        self,
        ctx: Context[Any, Any],
        limit: Annotated[int, Field(ge=1, le=MOST_IMAGES, description="How many images at most.")] = 20,
        cursor: Annotated[str | None, Field(description="next_cursor of the page before.", max_length=512)] = None,
        status: Annotated[ImageStatus | None, Field(description="Only images of this status.")] = None,
    ) -> ImagePage:
        """List uploaded images, newest first. Images that were built here are found with list_builds."""
        return await images.list_images(self._factory, self._caller_of(ctx), limit=limit, cursor=cursor, status=status)

    @face("Show an uploaded image", READ)
    async def get_image(self, ctx: Context[Any, Any], image_id: ImageId) -> ImageView:
        """Show one uploaded image: status, how much has come, why it was rejected."""
        return await images.get_image(self._factory, self._caller_of(ctx), image_id)

    @face("Forget an uploaded image", END)
    async def delete_image(
        self, ctx: Context[Any, Any], image_id: ImageId, request_key: RequestKey = None
    ) -> ImageView:
        """Forget an uploaded image; machines made of it go on. Forgetting it again changes nothing."""
        del request_key  # every mutation takes one; this one is harmless to repeat without it
        return await images.delete_image(self._factory, self._caller_of(ctx), image_id)
