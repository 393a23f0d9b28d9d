"""A build in one line, for lists."""

from domain.budget import ROW_CHARACTERS
from domain.build.state import BuildState, at_work
from domain.text import clean_untrusted
from domain.views import BuildSummary


def summarise(state: BuildState) -> BuildSummary:
    """Make a list's line; what a program wrote is cleaned and clipped."""
    failure = state.failure
    return BuildSummary(
        build_id=state.build_id,
        name=name_of(state),
        base_image=str(state.recipe.get("baseImage", "")),
        status=state.status,
        step=at_work(state),
        created_at=state.requested_at,
        updated_at=state.updated_at,
        seconds=state.seconds,
        failure=f"{failure.step}: {clean_untrusted(failure.problems[0].message, ROW_CHARACTERS)}" if failure else None,
    )


def name_of(state: BuildState) -> str:
    """Tell the recipe's name, which may be missing from a recipe that was not accepted."""
    return str(state.recipe.get("name", ""))
