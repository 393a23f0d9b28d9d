"""The guide to suites is compared with the format itself."""

import re
from pathlib import Path

import pytest
import yaml

from domain.suite.parse import parse_suite
from domain.suite.schema import CommandStep, GetFileStep, PutFileStep, Slot, Suite, WaitStep
from domain.test_run.state import RESTING

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "suites.md").read_text()


def test_the_guides_suite_is_one() -> None:
    example = re.search(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert example is not None
    assert parse_suite(yaml.safe_load(example.group(1))).suite.name == "web-and-client"


@pytest.mark.parametrize("model", [Suite, Slot])
def test_every_field_has_its_row(model: type[Suite] | type[Slot]) -> None:
    assert set(model.model_fields) - set(re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE)) == set()


@pytest.mark.parametrize("model", [CommandStep, WaitStep, PutFileStep, GetFileStep])
def test_every_field_of_a_step_is_in_its_row(
    model: type[CommandStep] | type[WaitStep] | type[PutFileStep] | type[GetFileStep],
) -> None:
    action = model.model_fields["action"].annotation.__args__[0]  # type: ignore[union-attr]
    row = next(line for line in GUIDE.splitlines() if line.startswith(f"| `action: {action}` |"))
    own = set(model.model_fields) - {"action", "slot", "description"}
    assert own - set(re.findall(r"`(\w+)`", row)) == set()


def test_every_status_of_a_run_is_explained() -> None:
    assert all(f"| `{status}` |" in GUIDE for status in RESTING)
