"""The probes of hostile claims, really run on this machine: none leaves the canary."""

import contextlib
import os
from pathlib import Path

import pytest

from activities.verification.assertions import check_of
from infra.process import CommandError, run
from tests.unit.hostile.test_canary import PROGRAMS, hostile_claims

pytestmark = pytest.mark.integration

_SECONDS = 20


async def test_no_probe_of_a_hostile_claim_runs_what_the_claim_says(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    seen: set[tuple[str, str]] = set()
    for kind, field, text, claim in hostile_claims(str(canary)):
        if (kind, field) in PROGRAMS or kind in {"ping_reaches", "dns_resolves"}:
            continue
        seen.add((kind, field))
        with contextlib.suppress(CommandError):  # that the claim does not hold is no surprise
            await run(check_of(claim, "suite").probe.argv, timeout=_SECONDS, cwd=tmp_path, env=environment)
        assert not canary.exists(), (kind, field, text)
    assert len(seen) > 8
