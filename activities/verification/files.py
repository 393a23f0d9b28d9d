"""Files of a guest: written from a step's text, fetched into the object store. Sizes in bytes."""

import asyncio
import hashlib
import re

from activities.verification.ports import Guest, GuestExec
from activities.verification.programs import text_of
from activities.verification.vm_models import StepDone
from domain.suite.schema import GetFileStep, PutFileStep
from domain.text import clean_untrusted
from domain.verification import AssertionResult
from infra.ports import ObjectStore

MAX_FILE_BYTES = 16 << 20
_CHUNK = 512 << 10
_LIMIT_SECONDS = 60.0
_SHOWN = 300


async def put(guest: Guest, step: PutFileStep, suite: str) -> AssertionResult:
    """Write the step's text to its path, whole or not at all; harmless to repeat."""
    content = step.text.encode()
    argv = ("/bin/sh", "-c", text_of("put.sh"), "put", step.path, step.mode, step.owner)
    done = await guest.run(argv, timeout=_LIMIT_SECONDS, stdin=content)
    written = done.status == 0 and done.stdout.strip() == str(len(content)).encode()
    return AssertionResult(
        suite=suite,
        description=step.description or f"{step.path} is written",
        type="put_file",
        params={"path": step.path, "mode": step.mode, "owner": step.owner},
        passed=written,
        expected=f"{len(content)} bytes written, mode {step.mode}, owner {step.owner}",
        found=f"{len(content)} bytes written" if written else _said(done),
        command=f"install -m {step.mode} -o {step.owner} … {step.path}",
    )


async def fetch(guest: Guest, step: GetFileStep, suite: str, objects: ObjectStore, prefix: str) -> StepDone:
    """Keep the file as an object below `prefix`, named by its path; harmless to repeat.

    Raises:
        Fault: `objects.unavailable`, and what `Guest.run` raises.

    """
    content, why = await _read(guest, step.path)
    keys: tuple[str, ...] = ()
    if content is not None:
        keys = (f"{prefix}/{_object_name(step.path)}",)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(content).hexdigest())
        await objects.put(keys[0], content)
        why = f"{len(content)} bytes, SHA-256 {digest}"
    result = AssertionResult(
        suite=suite,
        description=step.description or f"{step.path} is kept",
        type="get_file",
        params={"path": step.path},
        passed=content is not None,
        expected=f"a file of at most {MAX_FILE_BYTES >> 20} MiB",
        found=why,
        command=f"cat {step.path}",
    )
    return StepDone(result=result, keys=keys)


async def _read(guest: Guest, path: str) -> tuple[bytes | None, str]:
    """Read a regular file, piece by piece; without one, say why."""
    look = await guest.run(("env", "LC_ALL=C", "stat", "-L", "-c", "%F|%s", path), timeout=_LIMIT_SECONDS)
    kind, _, size = look.stdout.decode(errors="replace").strip().partition("|")
    if look.status != 0 or not size.isdigit():
        return None, _said(look)
    if not kind.startswith("regular"):
        return None, f"a {clean_untrusted(kind, 40)}, no file"
    if int(size) > MAX_FILE_BYTES:
        return None, f"{size} bytes, which is too much"
    content = bytearray()
    while len(content) <= MAX_FILE_BYTES:
        words = (f"if={path}", f"bs={_CHUNK}", f"skip={len(content) // _CHUNK}", "count=1")
        part = await guest.run(("dd", *words), timeout=_LIMIT_SECONDS)
        if part.status != 0:
            return None, _said(part)
        content += part.stdout
        if len(part.stdout) < _CHUNK:
            return bytes(content), ""
    return None, "it grew beyond what can be kept"


def _object_name(path: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", path.strip("/")).strip(".")[-200:] or "file"


def _said(done: GuestExec) -> str:
    said = (done.stderr or done.stdout).decode(errors="replace").strip()
    return clean_untrusted(said, _SHOWN) or f"nothing (exit status {done.status})"
