"""What the question for usual durations takes and gives. Frozen values only: workflows import this module."""

from typing import Final

from domain.build.progress import StepDuration
from domain.model import Value

FIND_USUAL: Final = "find_usual_durations"


class FindUsual(Value):
    """A recipe of an organization, by its name."""

    org_id: str
    recipe: str


class UsualFound(Value):
    """How long each step took in its latest completed builds, else in any of the organization's."""

    durations: tuple[StepDuration, ...]
