"""Answers about uploaded images as short text."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from domain.image.views import ImagePage, ImageView
from mcp_server.render_words import one_row, problem_lines


def _images(view: ImagePage) -> Iterable[str]:
    if not view.images:
        yield "No uploaded images."
    for image in view.images:
        trouble = f" — {one_row(image.problems[0].message)}" if image.problems else ""
        yield f"{image.image_id} {image.name} {image.status}, {image.format}, {image.bytes} bytes{trouble}"
    if view.next_cursor:
        yield f"More: call list_images with cursor={view.next_cursor}"


def _image(view: ImageView) -> Iterable[str]:
    replayed = " (this request was made before; nothing new was done)" if view.replayed else ""
    yield f"Image {view.image_id} {view.name}: {view.status}, version {view.version}{replayed}."
    if not view.visible:
        yield "It was accepted and will show up in a moment."
    disk = f", a disk of {view.virtual_bytes} bytes" if view.virtual_bytes is not None else ""
    yield f"{view.format}, {view.bytes} bytes{disk}, sha256 {view.sha256}."
    if view.upload_url is not None:
        came = f", {view.received} bytes have come" if view.received is not None else ""
        until = f", until {view.upload_until:%Y-%m-%d %H:%M} UTC" if view.upload_until is not None else ""
        yield f"Upload (tus 1.0.0, no key) to {view.upload_url}{came}{until}."
    yield from (line for problem in view.problems for line in problem_lines(problem))
    if view.next:
        yield f"Next: {view.next}"


WRITERS: dict[type[BaseModel], Callable[[Any], Iterable[str]]] = {ImagePage: _images, ImageView: _image}
