import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli import rebuild
from event_store.schema import Migrated
from infra.settings import load
from tests.unit.cli_client.test_rebuild import write_stack

pytestmark = pytest.mark.integration


def run_command(**environment: str) -> tuple[int, str]:
    app = typer.Typer()
    app.callback()(lambda: None)
    rebuild.register(app)
    result = CliRunner().invoke(app, ["rebuild-projections", "--json"], env=environment)
    return result.exit_code, result.stdout


def test_the_address_is_that_of_the_running_part(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={"DATABASE_URL": "postgresql://of-the-part"}
    ) as part:
        write_stack(tmp_path, None, part.pid)
        assert rebuild.owner_url(load({"OPENFACTORY_HOME": str(tmp_path)})) == "postgresql://of-the-part"
        part.communicate(b"\n")


def test_the_read_models_of_an_empty_log_are_rebuilt(database: Migrated, tmp_path: Path) -> None:
    code, out = run_command(DATABASE_URL=database.owner_url, OPENFACTORY_HOME=str(tmp_path))
    assert code == 0
    assert {model["rows"] for model in json.loads(out)["read_models"]} == {0}


def test_a_database_that_does_not_answer_is_a_temporary_failure(tmp_path: Path) -> None:
    code, out = run_command(DATABASE_URL="postgresql://u@127.0.0.1:1/x", OPENFACTORY_HOME=str(tmp_path))
    assert (code, out) == (75, "")
