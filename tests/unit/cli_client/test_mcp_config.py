"""`openfactory mcp-config`: with the key where there is one, with a placeholder where not."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import build_app
from domain.client_setup import PLACEHOLDER, ClientName

KEY = "of_local_key"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENFACTORY_URL", "OPENFACTORY_API_KEY", "OPENFACTORY_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENFACTORY_HOME", str(tmp_path))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "operator.key").write_text(KEY)
    return tmp_path


def answer(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(build_app(), ["mcp-config", *words])
    return result.exit_code, result.stdout


@pytest.mark.parametrize("client", list(ClientName))
def test_each_client_gets_the_local_key(home: Path, client: str) -> None:
    code, text = answer(client)
    assert code == 0
    assert KEY in text
    assert "127.0.0.1:7300/mcp-stream/mcp" in text
    code, text = answer(client, "--placeholder", "--json")
    assert code == 0
    assert PLACEHOLDER in json.loads(text)["snippet"]
    assert KEY not in text


def test_the_local_key_is_not_written_for_another_factory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENFACTORY_URL", "https://factory.example")
    code, text = answer("cursor")
    assert code == 0
    config = json.loads(text)["mcpServers"]["openfactory"]
    assert config["headers"]["Authorization"] == f"Bearer {PLACEHOLDER}"


def test_a_client_that_nobody_knows_and_an_address_that_is_none_are_usage_errors(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer("netscape")[0] == 2
    monkeypatch.setenv("OPENFACTORY_URL", "nonsense")
    code, text = answer("cursor", "--json")
    assert code == 2
    assert json.loads(text)["problems"][0]["code"] == "client.bad_address"
