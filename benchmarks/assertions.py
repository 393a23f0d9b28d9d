"""Thirty assertions through the driver, against their programs in one script that the guest agent runs once."""

import shlex
import time
from collections.abc import Sequence

from pydantic import TypeAdapter

from activities.verification.assertions import check_of
from activities.verification.check import Check
from activities.verification.driver import ask
from activities.verification.ports import Guest
from benchmarks.measure import Ratio, median_ratio
from domain.recipe.assertions import Assertion

_ASSERTION: TypeAdapter[Assertion] = TypeAdapter(Assertion)
_SECONDS = 300.0
# What every image of the factory can be asked.
_CLAIMS: tuple[tuple[str, Sequence[dict[str, object]]], ...] = (
    ("user_exists", ({"username": "root"}, {"username": "daemon"})),
    ("group_exists", ({"name": "root"}, {"name": "www-data"})),
    (
        "service_running",
        tuple({"service": f"systemd-{name}"} for name in ("journald", "networkd", "resolved", "udevd")),
    ),
    ("service_enabled", tuple({"service": name} for name in ("systemd-networkd", "systemd-resolved", "getty@tty1"))),
    ("package_installed", tuple({"package": name} for name in ("bash", "init", "udev", "procps", "iproute2"))),
    ("port_listening", ({"port": 53}, {"port": 5355}, {"port": 22})),
    ("file_exists", tuple({"path": path} for path in ("/etc/passwd", "/etc/hosts", "/etc/shadow", "/boot"))),
    ("file_contains", ({"path": "/etc/passwd", "contains": "root"},)),
    ("sysctl_value", ({"name": "net.ipv4.ip_forward", "value": "0"},)),
    ("kernel_parameter", ({"name": "root"},)),
    ("mount_present", ({"path": "/"},)),
    ("dns_resolves", ({"name": "localhost"},)),
    ("process_running", ({"name": "systemd"},)),
    ("command_succeeds", ({"command": "true"},)),
)


def thirty() -> tuple[Check, ...]:
    """Make the checks."""
    return tuple(
        check_of(_ASSERTION.validate_python({"type": kind, "params": params}), "benchmark")
        for kind, many in _CLAIMS
        for params in many
    )


async def assertions(guest: Guest, rounds: int = 5) -> Ratio:
    """Measure so many pairs on a guest that is up, after one that warms its caches."""
    checks = thirty()
    script = "\n".join(f"{shlex.join(check.probe.argv)} > /dev/null 2>&1 < /dev/null" for check in checks)
    pairs: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        began = time.monotonic()
        await guest.run(("/bin/sh", "-c", script), timeout=_SECONDS)
        between = time.monotonic()
        await ask(guest, [check.probe for check in checks])
        pairs.append((time.monotonic() - between, between - began))
    return median_ratio(f"{len(checks)} assertions", pairs[1:], "1.3", "against one guest-exec script")
