"""What holds for all tests: the machine's own settings are not the tests', and what blocks in unit tests."""

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from tests.lanes import Lanes

# How long a machine takes to make an example says nothing about the code.
settings.register_profile("factory", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("factory")

_UNIT = Path(__file__).parent / "unit"
_CONFIGURATION = ("OPENFACTORY_", "TEMPORAL_", "S3_", "DATABASE_URL")
_KEPT = "OPENFACTORY_TEST_"
# Audit events (see "Audit events table" of the Python documentation) that a unit test must not cause.
_OUTSIDE = {
    "os.exec": "starts a program",
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a program",
    "os.system": "starts a program",
    "socket.bind": "uses the network",
    "socket.connect": "uses the network",
    "socket.getaddrinfo": "uses the network",
    "socket.sendto": "uses the network",
    "subprocess.Popen": "starts a program",
    "time.sleep": "sleeps",
}


class _Guard:
    """A hook of the interpreter cannot be taken out again, so it asks this whether it is meant."""

    active = False

    def hook(self, event: str, _arguments: tuple[object, ...]) -> None:
        if self.active and event in _OUTSIDE:
            message = f"a unit test {_OUTSIDE[event]} ({event}): it belongs into tests/integration"
            raise RuntimeError(message)


_guard = _Guard()


def pytest_configure() -> None:
    """Drop the configuration of the shell that runs the tests, and install the guard."""
    for name in [n for n in os.environ if n.startswith(_CONFIGURATION) and not n.startswith(_KEPT)]:
        del os.environ[name]
    sys.addaudithook(_guard.hook)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes | None:
    """Share out the tests among several workers."""
    return Lanes(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture(autouse=True)
def _inside_only(request: pytest.FixtureRequest) -> Generator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    """Let unit tests reach nothing outside their own process."""
    _guard.active = request.path.is_relative_to(_UNIT)
    yield
    _guard.active = False
