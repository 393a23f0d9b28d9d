"""The read model of uploaded images: a row for each, with its whole state."""

from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL

from domain.canonical import digest
from domain.image.events import IMAGE_EVENTS
from domain.image.state import ImageState, ImageStatus, evolve
from domain.model import Value
from event_store.keyset import decode_cursor, encode_cursor, storable
from event_store.projection import Projection


def _row(state: ImageState) -> tuple[object, ...]:
    return (
        state.image_id,
        state.org_id,
        state.name,
        state.status,
        state.requested_at,
        state.version,
        storable(state.model_dump_json()),
    )


IMAGES: Projection[ImageState] = Projection(
    name="images",
    definition="""
        image_id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL CHECK (org_id <> ''),
        name text NOT NULL,
        status text NOT NULL,
        created_at timestamptz NOT NULL,
        version bigint NOT NULL,
        state jsonb NOT NULL""",
    indexes=("(org_id, created_at DESC, image_id DESC)", "(org_id, status, created_at DESC, image_id DESC)"),
    columns=("image_id", "org_id", "name", "status", "created_at", "version", "state"),
    events=frozenset(IMAGE_EVENTS),
    content=lambda: digest(ImageState.model_json_schema()),
    fold=evolve,
    row=_row,
    load=ImageState.model_validate_json,
)


class ImageStatePage(Value):
    """Some images of one organization, newest first, and where the next page begins."""

    images: tuple[ImageState, ...]
    next_cursor: str | None = None


class ImageQueries:
    """Questions about the uploaded images of the organization that the transaction was opened for."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        self._connection = connection

    async def get(self, image_id: str) -> ImageState | None:
        """Read an image, or nothing if it is absent or another organization's."""
        found = await self._connection.execute(
            "SELECT state::text AS state FROM read_model.images WHERE image_id = %s", (image_id,)
        )
        row = await found.fetchone()
        return None if row is None else ImageState.model_validate_json(row["state"])

    async def version(self, image_id: str) -> int:
        """Read the version of an image, 0 if it is absent or another organization's."""
        found = await self._connection.execute("SELECT version FROM read_model.images WHERE image_id = %s", (image_id,))
        row = await found.fetchone()
        return 0 if row is None else int(row["version"])

    async def page(self, *, limit: int, cursor: str | None = None, status: ImageStatus | None = None) -> ImageStatePage:
        """List images, newest first, by keyset; deleted ones only if that status is asked for.

        Raises:
            Verdict: `cursor.invalid`.

        """
        clauses: list[LiteralString] = ["status = %s" if status is not None else "status <> %s"]
        values: list[Any] = [status or "deleted"]
        if cursor:
            clauses.append("(created_at, image_id) < (%s, %s)")
            values += decode_cursor(cursor)
        query = SQL(
            "SELECT state::text AS state FROM read_model.images WHERE {} "
            "ORDER BY created_at DESC, image_id DESC LIMIT %s"
        ).format(SQL(" AND ").join(map(SQL, clauses)))
        found = await self._connection.execute(query, (*values, limit + 1))
        images = [ImageState.model_validate_json(row["state"]) for row in await found.fetchall()]
        more = None
        if len(images) > limit:
            more = encode_cursor(images[limit - 1].requested_at, images[limit - 1].image_id)
        return ImageStatePage(images=tuple(images[:limit]), next_cursor=more)
