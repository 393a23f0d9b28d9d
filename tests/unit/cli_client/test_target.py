from pathlib import Path

import pytest

from cli.client.failures import ClientFailure, KeyRefused, UsageFailure
from cli.client.target import read_target


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "operator.key").write_text("of_local_key\n")
    return tmp_path


def test_without_configuration_it_is_the_local_stack_with_its_operator_key(home: Path) -> None:
    target = read_target({"OPENFACTORY_HOME": str(home)})
    assert target.mcp_url == "http://127.0.0.1:7300/mcp-stream/mcp"
    assert target.key.get_secret_value() == "of_local_key"


def test_the_port_of_a_second_stack_is_used(home: Path) -> None:
    target = read_target({"OPENFACTORY_HOME": str(home), "OPENFACTORY_PORT": "7400"})
    assert target.url == "http://127.0.0.1:7400"


def test_a_key_of_the_environment_comes_first(home: Path) -> None:
    target = read_target({"OPENFACTORY_HOME": str(home), "OPENFACTORY_API_KEY": "mine"})
    assert target.key.get_secret_value() == "mine"


def test_the_local_key_is_never_sent_to_another_machine(home: Path) -> None:
    with pytest.raises(KeyRefused, match=r"no API key for factory\.example"):
        read_target({"OPENFACTORY_HOME": str(home), "OPENFACTORY_URL": "https://factory.example"})


@pytest.mark.parametrize("url", ["http://localhost:7300/", "http://[::1]:7300", "http://127.0.0.2"])
def test_addresses_of_this_machine_get_the_local_key(home: Path, url: str) -> None:
    target = read_target({"OPENFACTORY_HOME": str(home), "OPENFACTORY_URL": url})
    assert target.key.get_secret_value() == "of_local_key"
    assert not target.url.endswith("/")


@pytest.mark.parametrize(
    "url", ["factory.example", "ftp://x", "http://", "http://x:99999", "http://u@x", "http://x?a=b"]
)
def test_what_is_no_address_is_refused(home: Path, url: str) -> None:
    with pytest.raises(UsageFailure):
        read_target({"OPENFACTORY_HOME": str(home), "OPENFACTORY_URL": url})


def test_a_missing_key_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(KeyRefused) as refusal:
        read_target({"OPENFACTORY_HOME": str(tmp_path)})
    assert "./openfactory up" in str(refusal.value.problems[0].next)
    assert refusal.value.exit_code == 77


def test_a_key_with_a_line_break_is_not_sent(home: Path) -> None:
    with pytest.raises(ClientFailure, match="key_malformed"):
        read_target({"OPENFACTORY_HOME": str(home), "OPENFACTORY_API_KEY": "a\r\nX-Evil: 1"})
