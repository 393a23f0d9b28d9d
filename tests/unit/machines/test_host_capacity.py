"""How many builds a host takes at a time when nobody said so."""

from typing import Literal

import pytest

from activities.machines.host_capacity import usual_builds


@pytest.mark.parametrize(
    ("accelerator", "cpus", "memory", "expected"),
    [
        ("tcg", 1, 32_000, 1),
        ("tcg", 2, 32_000, 1),
        ("tcg", 8, 32_000, 4),
        ("kvm", 2, 32_000, 2),
        ("kvm", 16, 32_000, 7),
        ("kvm", 16, 1_000, 1),
    ],
)
def test_emulated_machines_need_processors_of_their_own(
    accelerator: Literal["kvm", "tcg"], cpus: int, memory: int, expected: int
) -> None:
    assert usual_builds(accelerator, cpus, memory) == expected
