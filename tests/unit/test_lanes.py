from pathlib import Path

import pytest

from tests.lanes import HEAVY, lane_of

ROOT = Path(__file__).resolve().parents[2]


def test_all_that_boots_machines_shares_a_lane() -> None:
    lanes = {lane_of(f"{folder}/test_a.py::test_b[c::d]") for folder in HEAVY}
    assert len(lanes) == 1


@pytest.mark.parametrize("file", ["tests/unit/test_lanes.py", "tests/integration/console/test_jobs.py"])
def test_the_tests_of_any_other_file_keep_together(file: str) -> None:
    assert lane_of(f"{file}::test_a") == lane_of(f"{file}::Class::test_b[tests/e2e]") == file


def test_the_folders_of_the_lane_exist() -> None:
    assert not [folder for folder in HEAVY if not (ROOT / folder).is_dir()]
