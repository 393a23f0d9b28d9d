"""What clients do while something breaks: a build, a machine's life, a run of a suite. Each is patient, and accepts
no answer but the right one: an operation that was acknowledged comes to an end, and ends as it should."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from cli.client.failures import ClientFailure
from cli.client.session import FactorySession

Name = Literal["build", "vm", "suite run"]
OPERATIONS: tuple[Name, ...] = ("build", "vm", "suite run")
_RETRIES = 4


@dataclass
class Outcome:
    """How an operation went. `acknowledged` are ids that the factory answered; `wrong` is what should not have been."""

    operation: Name
    acknowledged: list[str] = field(default_factory=list[str])
    ended: str = ""
    ended_at: float = 0.0
    again: int = 0
    wrong: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Client:
    """Calls a tool until it is answered, as a patient client does: what may be retried is, with the same key."""

    session: FactorySession
    seed: str
    patience: float

    async def call(self, tool: str, arguments: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
        """Call a tool; a failure that is not to be retried is noted as wrong and raised."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return await self.session.call(tool, arguments)
            except ClientFailure as failure:
                if not all(problem.retryable for problem in failure.problems):
                    raise
                if time.monotonic() > deadline:
                    outcome.wrong.append(f"{tool} was not answered within {self.patience} s: {failure}")
                    raise
            await asyncio.sleep(0.3)

    async def until(
        self, tool: str, arguments: dict[str, Any], outcome: Outcome, holds: Callable[[dict[str, Any]], object]
    ) -> dict[str, Any]:
        """Follow a job until it holds."""
        deadline = time.monotonic() + self.patience
        view: dict[str, Any] = {}
        while time.monotonic() < deadline:
            view = await self.call(tool, {**arguments, "wait_s": 3}, outcome)
            if holds(view):
                return view
        raise TimeoutError(f"{tool} did not come to hold within {self.patience} s: {str(view)[:600]}")


async def build(client: Client, outcome: Outcome) -> None:
    """Build a recipe that nobody has built; a build that is parked is retried until it is done."""
    recipe = {"name": f"lab-{client.seed}", "baseImage": "debian-bookworm"}
    accepted = await client.call("create_build", {"recipe": recipe, "request_key": f"{client.seed}-build"}, outcome)
    build_id = accepted["build_id"]
    outcome.acknowledged.append(build_id)
    status = {"build_id": build_id}
    while True:
        view = await client.until(
            "get_build_status", status, outcome, lambda v: v["status"] in {"completed", "failed", "cancelled"}
        )
        outcome.ended = view["status"]
        if view["status"] != "failed" or outcome.again >= _RETRIES:
            break
        failure = view["failure"]
        if failure["kind"] != "fault":
            outcome.wrong.append(f"the factory's fault was called a verdict: {failure['problems']}")
        outcome.again += 1
        key = f"{client.seed}-retry-{outcome.again}"
        await client.call("retry_build", {**status, "request_key": key}, outcome)
        await client.until("get_build_status", status, outcome, lambda v: v["status"] != "failed")
    if outcome.ended != "completed":
        outcome.wrong.append(f"the build ended {outcome.ended} after {outcome.again} retries: {view.get('failure')}")
    states = {a["kind"]: a["verification"] for a in view.get("artifacts", ()) if a["kind"] in ("qcow2", "iso")}
    if outcome.ended == "completed" and states != {"qcow2": "verified", "iso": "verified"}:
        outcome.wrong.append(f"its images are {states}")


async def vm(client: Client, outcome: Outcome, image: dict[str, str]) -> None:
    """Bring up a machine of a build or an image, keep it, mend it as often as it takes, and delete it."""
    wish = {**image, "memory": 192, "name": "lab", "firmware": "bios"}
    created = await client.call("create_vm", {**wish, "request_key": f"{client.seed}-vm"}, outcome)
    vm_id = created["vm_id"]
    outcome.acknowledged.append(vm_id)
    which = {"vm_id": vm_id}
    await _up(client, outcome, which)
    await _done(client, outcome, which, "snapshot_vm", {"name": "kept"})
    await _done(client, outcome, which, "stop_vm", {"grace_s": 0})
    await _done(client, outcome, which, "start_vm", {})
    await _up(client, outcome, which)
    await client.call("delete_vm", which, outcome)
    ended = await client.until("get_vm", which, outcome, lambda v: v["status"] == "deleted")
    outcome.ended = ended["status"]


async def _up(client: Client, outcome: Outcome, which: dict[str, Any]) -> None:
    """Wait until the guest answers; a machine that is lost, failed or off is started again."""
    while True:
        view = await client.until("get_vm", which, outcome, lambda v: v.get("ready") or v["status"] in _DOWN)
        if view.get("ready"):
            return
        if outcome.again >= _RETRIES:
            outcome.wrong.append(f"the machine does not come up: {view}")
            raise TimeoutError("the machine does not come up")
        outcome.again += 1
        await _done(client, outcome, which, "start_vm", {})


async def _done(client: Client, outcome: Outcome, which: dict[str, Any], tool: str, more: dict[str, Any]) -> None:
    """Give a command and wait until it has ended, well or not."""
    key = f"{client.seed}-{tool}-{outcome.again}"
    try:
        await client.call(tool, {**which, **more, "request_key": key}, outcome)
    except ClientFailure as failure:
        # A machine that is just then lost has nothing to keep or stop.
        if not {p.code for p in failure.problems} <= {"vm.wrong_state", "vm.busy", "vm.not_running"}:
            raise
    await client.until("get_vm", which, outcome, lambda v: not any(c["status"] in _OPEN for c in v.get("commands", ())))


_OPEN = {"accepted", "running", "queued", "started"}
_DOWN = {"lost", "failed", "stopped"}
_OVER = {"passed", "failed", "error", "cancelled"}

SUITE: dict[str, Any] = {
    "name": "laboratory",
    "slots": [{"name": "primary", "memory": 128}],
    "cases": [
        {
            "name": "a file is kept",
            "steps": [
                {"action": "put_file", "path": "/mnt/note", "text": "kept\n"},
                {"action": "command", "command": "cat /mnt/note", "contains": "kept"},
            ],
        },
        {"name": "a program runs", "steps": [{"action": "command", "command": "true"}]},
    ],
}


async def suite_run(client: Client, outcome: Outcome, suite_id: str) -> None:
    """Run a suite; it passes, or says that the factory could not do it, and then it is run again."""
    while True:
        key = f"{client.seed}-run-{outcome.again}"
        started = await client.call("run_test_suite", {"suite_id": suite_id, "request_key": key}, outcome)
        run = {"run_id": started["run_id"]}
        outcome.acknowledged.append(started["run_id"])
        view = await client.until("get_test_run", run, outcome, lambda v: v["status"] in _OVER)
        outcome.ended = view["status"]
        if view["status"] != "error" or outcome.again >= _RETRIES:
            break
        outcome.again += 1
    if outcome.ended != "passed":
        outcome.wrong.append(f"the run ended {outcome.ended} after {outcome.again} more: {str(view)[:1500]}")


async def prepared(client: Client) -> tuple[str, str]:
    """Make what machines and runs are made of: a finished build and a suite bound to it."""
    outcome = Outcome("build")
    await build(client, outcome)
    assert not outcome.wrong, outcome.wrong
    build_id = outcome.acknowledged[0]
    suite = await client.call("create_test_suite", {"suite": SUITE, "request_key": client.seed}, outcome)
    bound = {"suite_id": suite["suite_id"], "targets": {"primary": build_id}}
    await client.call("update_test_suite_targets", bound, outcome)
    return build_id, str(suite["suite_id"])


async def perform(work: Awaitable[None], outcome: Outcome) -> Outcome:
    """Do one operation to its end, and note what goes wrong instead of raising it."""
    try:
        await work
    except (ClientFailure, TimeoutError, KeyError, AssertionError) as error:
        outcome.wrong.append(f"{type(error).__name__}: {error}")
    outcome.ended_at = time.monotonic()
    return outcome
