"""Builds of a factory against the same programs run by hand, and against each other.

Without the boot: a build counts until its images are assembled, and is cancelled then.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.by_hand import prepared
from benchmarks.measure import Line, median_figure, median_ratio
from cli.client.session import FactorySession
from tests.e2e.stack import Stack, until_ended

_SECONDS = 1800.0
_PAIRS = 2
STEPS = ("resolve", "base_layer", "package_layer", "configuration_layer", "assemble")


def recipe(name: str, *, edit: str = "") -> dict[str, Any]:
    """Make a small server; `edit` is the file that changes."""
    script = {"name": "greet", "script": f"#!/bin/sh\necho '{edit}' > /etc/greeting\n"}
    return {"name": name, "baseImage": "debian-bookworm", "packages": ["nginx-light"], "startupScripts": [script]}


async def cold_and_edited(stack: Stack, session: FactorySession) -> list[Line]:
    """Build cold beside a build by hand, then the same with one file changed."""
    await _assembled(session, recipe("warm-up"))  # fetches the packages: both sides have them
    cold: list[tuple[float, float]] = []
    edited: list[tuple[float, float]] = []
    disks: list[tuple[float, float]] = []
    steps: list[str] = []
    with prepared(stack.home) as hand:
        for number in range(_PAIRS):
            forget_layers(stack.home)
            first = await _assembled(session, recipe("bench", edit=f"{number}"))
            cold.append((first.seconds, await hand.build()))
            steps.append(_told(first.parts))
            again = await _assembled(session, recipe("bench", edit=f"{number} edited"))
            edited.append((again.seconds, first.seconds))
            disks.append((await _until_disk(session, again.view), first.seconds))
    return [
        median_ratio("cold build without the boot, against the same tools by hand", cold, "≤ 1.10", steps[-1]),
        median_ratio(
            "one file edited, to the qcow2, the ISO being made beside it, against the cold build", disks, "≤ 0.15"
        ),
        median_ratio("one file edited, to qcow2 and ISO, against the cold build", edited, "≤ 0.3"),
    ]


async def two_at_once(stack: Stack, session: FactorySession) -> list[Line]:
    """Two cold builds of two recipes against two builds by hand, both side by side."""
    await _assembled(session, recipe("warm-up"))
    pairs: list[tuple[float, float]] = []
    steps = ""
    with prepared(stack.home) as hand:
        for number in range(_PAIRS):
            forget_layers(stack.home)
            # Packages that only one has keep them from sharing more than the base.
            other = {**recipe("two", edit=f"{number}"), "packages": ["nginx-light", "less"]}
            made = await asyncio.gather(
                _assembled(session, recipe("one", edit=f"{number}")), _assembled(session, other)
            )
            ours = max(build.seconds for build in made)
            steps = " | ".join(_told(build.parts) for build in made)
            began = time.monotonic()
            await asyncio.gather(hand.build(), hand.build())
            pairs.append((ours, time.monotonic() - began))
    return [median_ratio("two cold builds at once, against two by hand", pairs, "≤ 1.10", steps)]


async def unchanged(_: Stack, session: FactorySession) -> list[Line]:
    """Build a recipe with everything, then again."""
    first = await _completed(session, recipe("again"))
    again = [await _completed(session, recipe("again")) for _ in range(5)]
    if any(report.get("reused") is None for view in again for report in view["reports"]):
        raise RuntimeError(json.dumps(again))
    seconds = [_elapsed(view) for view in again]
    note = f"the first took {_elapsed(first):.0f} s; {_told(_parts(again[-1]))}"
    return [median_figure("unchanged recipe, from request to completion", seconds, "s", "≤ 2", note)]


def forget_layers(home: Path) -> None:
    """Make the next build a cold one: what was solved and made is found no more. The package files stay."""
    for folder in ("solutions", "layers", "assemblies"):
        for path in (home / folder).glob("*.json"):
            path.unlink()


@dataclass(frozen=True)
class _Assembled:
    """A build whose images are there: the seconds from the request until then."""

    view: dict[str, Any]
    seconds: float

    @property
    def parts(self) -> dict[str, float]:
        """The seconds of each step."""
        return _parts(self.view)


async def _assembled(session: FactorySession, document: dict[str, Any]) -> _Assembled:
    """Build until the images are there."""
    started = await session.call("create_build", {"recipe": document, "verify": "always"})
    build_id = started["build_id"]
    view: dict[str, Any] = started
    async with asyncio.timeout(_SECONDS):
        while not any(s["step"] == "assemble" and s["status"] == "completed" for s in view.get("steps", ())):
            view = await session.call("get_build_status", {"build_id": build_id, "wait_s": 20})
            if view["status"] in ("failed", "cancelled", "completed"):
                raise RuntimeError(json.dumps(view))
    await session.call("cancel_build", {"build_id": build_id, "reason": "measured"})
    await until_ended(session, build_id, deadline=120)
    last = next(s for s in view["steps"] if s["step"] == "assemble")
    began, ended = _time(view["created_at"]), _time(last["started_at"])
    return _Assembled(view, (ended - began).total_seconds() + last["seconds"])


async def _until_disk(session: FactorySession, view: dict[str, Any]) -> float:
    """Tell the seconds from the request until the disk image was there, by the line that its log has about it."""
    asked = {"build_id": view["build_id"], "step": "assemble", "search": f"{view['name']}.qcow2: "}
    found = await session.call("get_build_log", asked)
    lines = [line for line in found["lines"] if line.get("match")]
    if len(lines) != 1:
        raise RuntimeError(json.dumps(found))
    return (_time(lines[0]["at"]) - _time(view["created_at"])).total_seconds()


async def _completed(session: FactorySession, document: dict[str, Any]) -> dict[str, Any]:
    started = await session.call("create_build", {"recipe": document})
    view = await until_ended(session, started["build_id"], deadline=_SECONDS)
    if view["status"] != "completed":
        raise RuntimeError(json.dumps(view))
    return view


def _elapsed(view: dict[str, Any]) -> float:
    return (_time(view["updated_at"]) - _time(view["created_at"])).total_seconds()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _parts(view: dict[str, Any]) -> dict[str, float]:
    return {s["step"]: s["seconds"] for s in view["steps"] if s.get("seconds") is not None}


def _told(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts.items())
