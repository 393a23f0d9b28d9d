"""Resources that stand behind an answer, as links a client may follow."""

from mcp.types import ResourceLink
from pydantic import BaseModel

from domain.test_run.views import RunView
from domain.views import BuildView, RecipeDetail

# The first version whose clients know the content type (2025-06-18, tools).
OLDEST_WITH_LINKS = "2025-06-18"


def links_of(view: BaseModel) -> list[ResourceLink]:
    """Name what can be read further of this view."""
    if isinstance(view, BuildView):
        if view.status == "deleted":
            return []  # they would be refused
        log = _link(f"build://{view.build_id}/log", "log", "Build log", "text/plain")
        files = _link(f"build://{view.build_id}/artifacts", "artifacts", "Files of the build", "application/json")
        return [log, files] if view.artifacts else [log]
    if isinstance(view, RunView):
        return [_link(f"test-run://{view.run_id}", "test-run", "Test run", "application/json")]
    if isinstance(view, RecipeDetail):
        return [_link(f"recipe://{view.name}", view.name, view.title, "application/json")]
    return []


def _link(uri: str, name: str, title: str, kind: str) -> ResourceLink:
    return ResourceLink(type="resource_link", uri=uri, name=name, title=title, mime_type=kind)
