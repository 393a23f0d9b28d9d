from pathlib import Path

import pytest

from cli.stack.doctor import examine
from cli.stack.findings import Check, Finding, bad, note, ok
from cli.stack.home_checks import HomeChecks
from infra.settings import load


class Thing:
    """Something that is broken until it is mended."""

    def __init__(self) -> None:
        self.mended = 0

    async def look(self) -> Finding:
        return ok("thing", "fine") if self.mended else bad("thing", "broken", "mend it")

    async def mend(self) -> None:
        self.mended += 1


async def test_nothing_is_touched_unless_asked() -> None:
    thing = Thing()
    findings = await examine((Check(name="thing", look=thing.look, fix=thing.mend),), fix=False)
    assert findings[0].level == "bad"
    assert thing.mended == 0


async def test_what_was_mended_is_looked_at_again_and_said_to_be_mended() -> None:
    thing = Thing()
    findings = await examine((Check(name="thing", look=thing.look, fix=thing.mend),), fix=True)
    assert findings[0].level == "ok"
    assert findings[0].fixed
    assert thing.mended == 1


async def test_only_what_stands_in_the_way_is_mended() -> None:
    thing = Thing()

    async def look() -> Finding:
        return note("thing", "odd")

    assert not (await examine((Check(name="thing", look=look, fix=thing.mend),), fix=True))[0].fixed
    assert thing.mended == 0


async def test_secrets_that_others_may_read_are_found_and_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.settings._LONGEST_HOME", 1000)
    home = tmp_path / "home"
    (home / "secrets").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    key = home / "secrets" / "operator.key"
    key.write_text("x")
    key.chmod(0o644)
    checks = HomeChecks(load({"OPENFACTORY_HOME": str(home)}))
    found = await checks.permissions()
    assert found.level == "bad"
    assert str(key) in found.message
    await checks.mend_permissions()
    assert (await checks.permissions()).level == "ok"
    assert key.stat().st_mode & 0o777 == 0o600


async def test_a_folder_that_is_not_there_yet_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.settings._LONGEST_HOME", 1000)
    checks = HomeChecks(load({"OPENFACTORY_HOME": str(tmp_path / "not" / "yet")}))
    assert (await checks.permissions()).level == "ok"
    assert (await checks.leftovers()).level == "ok"
    await checks.end_leftovers()
    assert not (tmp_path / "not").exists()
