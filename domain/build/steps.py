"""The steps of a build, in order."""

from typing import Literal, get_args

StepName = Literal[
    "resolve",
    "base_layer",
    "package_layer",
    "configuration_layer",
    "assemble",
    "boot",
    "verify",
    "publish",
]
STEPS: tuple[StepName, ...] = get_args(StepName)
TESTING_STEPS: frozenset[StepName] = frozenset({"boot", "verify"})


def log_label(generation: int, step: StepName) -> str:
    """Name a step's log so that names sort in the order in which things happened.

    `generation` counts the retries of the job: 0 for the first try.
    """
    return f"{generation:02d}.{STEPS.index(step)}-{step}"
