from typing import get_args

import pytest

from cli.client.words import STATUS_STYLE, duration, problem_text, size
from domain.artifacts import Verification
from domain.build.state import BuildStatus, StepStatus
from domain.errors import Problem


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB"), (1024**4, "1.0 TiB")],
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (-1.0, "0.0 s"),
        (0.34, "0.3 s"),
        (42.4, "42 s"),
        (59.7, "1 min 00 s"),
        (185.0, "3 min 05 s"),
        (3720, "1 h 02 min"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_a_problem_without_advice_is_one_line() -> None:
    assert str(problem_text(Problem(code="a.b", message="It is wrong."))) == "✗ It is wrong.  [a.b]"


@pytest.mark.parametrize("statuses", [BuildStatus, StepStatus, Verification], ids=["build", "step", "image"])
def test_every_status_has_a_style(statuses: object) -> None:
    assert set(get_args(statuses)) <= STATUS_STYLE.keys()
