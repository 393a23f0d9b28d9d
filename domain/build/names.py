"""How a build is named where one is asked for: by its id, by the beginning of one, or by a tag.

A tag moves: `latest` is the newest build, `latest-verified` the newest that is completed and whose images are
all verified; `latest:demo` and `latest-verified:demo` are those of one recipe.
"""

import re

from domain.errors import Verdict
from domain.model import Value

FORMS = "a build's id, the first three or more digits of it, latest, latest-verified, or a tag of a recipe: latest:demo"

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_BEGINNING = re.compile(r"[0-9a-f][0-9a-f-]{2,35}")
_TAG = re.compile(r"latest(?P<verified>-verified)?(?::(?P<recipe>[a-z0-9][a-z0-9-]{0,62}))?")


class BuildTag(Value):
    """The newest build, of one recipe or of any, verified or as it is."""

    recipe: str | None = None
    verified: bool = False


class BuildName(Value):
    """What a text names: just one of the three is set."""

    build_id: str | None = None
    beginning: str | None = None
    tag: BuildTag | None = None


def read_build_name(text: str) -> BuildName:
    """Understand what somebody wrote; a workflow's id (`build-…`) is as good as the build's.

    Raises:
        Verdict: `build.not_found` for what names no build in any of these ways.

    """
    word = text.strip().lower().removeprefix("build-").removeprefix("build:")
    if _ID.fullmatch(word):
        return BuildName(build_id=word)
    if (tag := _TAG.fullmatch(word)) is not None:
        return BuildName(tag=BuildTag(recipe=tag["recipe"], verified=tag["verified"] is not None))
    if _BEGINNING.fullmatch(word):
        return BuildName(beginning=word)
    raise Verdict.because(
        "build.not_found",
        "There is no build of this name.",
        path="build_id",
        value=text[:64],
        next=f"Give {FORMS}. list_builds shows the builds of your organization.",
    )
