"""What systemd says about a unit: systemctl(1), `show`."""

from activities.verification.check import Answer, Probe
from domain.recipe.checks import unit_name

_PROPERTIES = "LoadState,ActiveState,SubState,UnitFileState,Type,Result,ExecMainExitTimestampMonotonic"
_ENABLED = frozenset({"enabled", "enabled-runtime", "alias", "generated", "linked", "linked-runtime"})


def show(service: str) -> Probe:
    """Ask for the unit's state."""
    return Probe(argv=("systemctl", "show", f"--property={_PROPERTIES}", "--", unit_name(service)), plain=True)


class Unit:
    """A unit's state as read from `show`."""

    def __init__(self, answer: Answer) -> None:
        self._said = answer.words
        self._facts = dict(line.split("=", 1) for line in answer.lines if "=" in line)

    @property
    def known(self) -> bool:
        """Whether systemd said anything about it, if only that it has no such unit."""
        return "LoadState" in self._facts

    @property
    def exists(self) -> bool:
        """Whether systemd has loaded it."""
        return self._facts.get("LoadState") == "loaded"

    @property
    def masked(self) -> bool:
        """Whether it can never be started."""
        return self._facts.get("LoadState") == "masked"

    @property
    def active(self) -> bool:
        """Whether it does its work, or has done it (`active (exited)`)."""
        return self._facts.get("ActiveState") == "active"

    @property
    def done(self) -> bool:
        """Whether it is a program that ran once and ended well without staying active."""
        facts = self._facts
        ran = facts.get("ExecMainExitTimestampMonotonic", "0") not in {"", "0"}
        return ran and facts.get("Type") == "oneshot" and facts.get("Result") == "success"

    @property
    def enabled(self) -> bool:
        """Whether something makes it start at boot."""
        return self._facts.get("UnitFileState") in _ENABLED

    @property
    def static(self) -> bool:
        """Whether it cannot be enabled, only started because another unit wants it."""
        return self._facts.get("UnitFileState") in {"static", "indirect", "transient"}

    @property
    def state(self) -> str:
        """Say how it runs."""
        if not self._facts:
            return self._said
        if not self.exists:
            return f"{self._facts.get('LoadState', 'unknown')}: systemd has no such unit to run"
        result = self._facts.get("Result", "success")
        why = f", {result}" if result not in {"success", ""} else ""
        return f"{self._facts.get('ActiveState')} ({self._facts.get('SubState')}{why})"

    @property
    def file_state(self) -> str:
        """Say whether it is enabled."""
        if not self._facts:
            return self._said
        return self._facts.get("UnitFileState") or self._facts.get("LoadState") or "unknown"
