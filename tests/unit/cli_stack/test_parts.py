from pathlib import Path

import pytest

from cli.stack.endpoints import Endpoints, find_endpoints
from cli.stack.part import Part
from cli.stack.parts import stack_parts
from cli.stack.ports import NAMES
from infra.settings import Settings, load

PORTS = {name: 20000 + number for number, name in enumerate(NAMES)}
SECRET_NAMES = (
    "DATABASE_URL",
    "OPENFACTORY_FRONT_DATABASE_URL",
    "OPENFACTORY_ADMISSION_DATABASE_URL",
    "S3_SECRET_KEY",
)


def settings(home: Path, **environ: str) -> Settings:
    return load({"OPENFACTORY_HOME": str(home), "OPENFACTORY_PORT": "7399", **environ})


def stack(given: Settings) -> tuple[dict[str, Part], Endpoints]:
    endpoints = find_endpoints(given, PORTS)
    return {p.name: p for p in stack_parts(given, endpoints, PORTS)}, endpoints


@pytest.fixture
def home() -> Path:
    return Path("/tmp/of-unit")


@pytest.fixture(autouse=True)
def _no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    monkeypatch.setattr("infra.settings._LONGEST_HOME", 1000)
    monkeypatch.setattr("infra.settings.Settings.secrets", property(lambda _: tmp_path / "secrets"))


def test_with_nothing_configured_everything_is_run_here(home: Path) -> None:
    parts, endpoints = stack(settings(home))
    assert endpoints.embedded == {"postgres", "temporal", "s3", "libvirt", "mcp"}
    assert set(parts) >= {"postgres", "temporal", "s3", "libvirt", "core-worker", "host-worker", "projector", "gateway"}


@pytest.mark.parametrize(
    ("part", "environ"),
    [
        ("postgres", {"DATABASE_URL": "postgresql://me:pw@db.example:5432/of"}),
        ("temporal", {"TEMPORAL_ADDRESS": "temporal.example:7233"}),
        ("s3", {"S3_ENDPOINT": "https://s3.example"}),
        ("libvirt", {"OPENFACTORY_LIBVIRT_URI": "qemu+ssh://host/system"}),
        ("mcp", {"OPENFACTORY_MCP_URL": "http://127.0.0.1:9000"}),
    ],
)
def test_what_is_configured_is_not_run_here(home: Path, part: str, environ: dict[str, str]) -> None:
    parts, _ = stack(settings(home, **environ))
    assert part not in parts
    assert all(part not in (*p.after, *p.uses) for p in parts.values())


def test_a_host_worker_is_never_told_of_the_database(home: Path) -> None:
    parts, endpoints = stack(settings(home))
    told = parts["host-worker"].env
    assert not {"DATABASE_URL", "OPENFACTORY_FRONT_DATABASE_URL", "OPENFACTORY_ADMISSION_DATABASE_URL"} & set(told)
    assert endpoints.owner_password.get_secret_value() not in "".join(told.values())
    assert endpoints.front_password.get_secret_value() not in "".join(told.values())
    assert endpoints.admission_password.get_secret_value() not in "".join(told.values())


def test_the_console_relay_listens_where_it_listened_before_on_loopback_unless_told_otherwise(home: Path) -> None:
    assert stack(settings(home))[0]["host-worker"].env["OPENFACTORY_RELAY_BIND"] == f"127.0.0.1:{PORTS['relay']}"
    parts, _ = stack(settings(home, OPENFACTORY_RELAY_BIND="10.0.0.5:7301"))
    assert parts["host-worker"].env["OPENFACTORY_RELAY_BIND"] == "10.0.0.5:7301"


@pytest.mark.parametrize("name", ["mcp", "gateway"])
def test_the_faces_know_the_database_only_as_the_role_that_reads(home: Path, name: str) -> None:
    parts, endpoints = stack(settings(home))
    assert "DATABASE_URL" not in parts[name].env
    assert endpoints.owner_password.get_secret_value() not in "".join(parts[name].env.values())


def test_no_secret_is_on_a_command_line_or_in_a_repr(home: Path) -> None:
    parts, endpoints = stack(settings(home))
    secrets = [parts[p].env[n] for p in parts for n in SECRET_NAMES if n in parts[p].env]
    secrets += [endpoints.admin_url.get_secret_value(), endpoints.owner_password.get_secret_value()]
    for part in parts.values():
        assert not [s for s in secrets if s in " ".join(part.argv)]
        assert not [s for s in secrets if s in repr(part)]


def test_every_part_carries_the_marks_it_is_known_by(home: Path) -> None:
    for name, part in stack(settings(home))[0].items():
        assert part.env["OPENFACTORY_PART"] == name
        assert part.env["OPENFACTORY_HOME"] == str(home)


def test_the_callers_environment_does_not_leak_into_the_parts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("PYTHONSTARTUP", "canary")
    assert not [n for n, p in stack(settings(home))[0].items() if "canary" in p.env.values()]


def test_the_proxies_that_are_trusted_are_told_to_the_gateway(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENFACTORY_TRUSTED_PROXIES", "127.0.0.1")
    assert stack(settings(home))[0]["gateway"].env["OPENFACTORY_TRUSTED_PROXIES"] == "127.0.0.1"


def test_the_embedded_servers_listen_on_loopback_only(home: Path) -> None:
    parts, _ = stack(settings(home, OPENFACTORY_BIND="0.0.0.0"))  # noqa: S104 - what the public port may do
    for name in ("postgres", "temporal", "s3"):
        assert not [word for word in parts[name].argv if "0.0.0.0" in word]  # noqa: S104
        assert [word for word in parts[name].argv if "127.0.0.1" in word]


def test_a_database_of_the_users_gets_its_roles_by_their_own_names(home: Path) -> None:
    _, endpoints = stack(settings(home, DATABASE_URL="postgresql://me:pw@db.example:5432/of"))
    assert "user=openfactory_owner" in endpoints.owner_url.get_secret_value()
    assert "user=openfactory_front" in endpoints.front_url.get_secret_value()
    assert "user=openfactory_admission" in endpoints.admission_url.get_secret_value()
    assert "pw" not in endpoints.owner_url.get_secret_value().replace("password", "")


def test_parts_are_stopped_within_twenty_seconds_even_if_each_takes_its_time(home: Path) -> None:
    parts, _ = stack(settings(home))

    def chain(name: str) -> float:
        below = [chain(other.name) for other in parts.values() if name in (*other.after, *other.uses)]
        return parts[name].stop_seconds + max(below, default=0.0)

    assert max(chain(name) for name in parts) <= 20.0


def test_our_programs_are_forked_off_a_server_that_holds_no_secret(home: Path) -> None:
    parts, _ = stack(settings(home))
    ours = {name for name, part in parts.items() if part.forked}
    assert ours == set(parts) - {"forkserver", "postgres", "temporal", "s3", "libvirt"}
    assert all("forkserver" in parts[name].after and "-m" in parts[name].argv for name in ours)
    assert set(parts["forkserver"].env) - {"OPENFACTORY_ROOM"} <= set(parts["libvirt"].env)
