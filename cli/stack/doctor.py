"""`openfactory doctor`: looks at this machine, mends what it can when asked, and says the rest."""

import asyncio
import json
import sys

from rich.console import Console

from cli.client.words import plain
from cli.stack.findings import Check, Finding
from cli.stack.home_checks import HomeChecks
from cli.stack.machine_checks import machine_checks
from infra.settings import Settings

_MARKS = {"ok": ("✓", "green"), "note": ("·", "yellow"), "bad": ("✗", "bold red")}


def run_doctor(settings: Settings, *, fix: bool, as_json: bool) -> int:
    """Look at everything; answers 1 if something stands in the way."""
    checks = (*machine_checks(settings), *HomeChecks(settings).all())
    findings = asyncio.run(examine(checks, fix=fix))
    if as_json:
        sys.stdout.write(json.dumps([f.model_dump() for f in findings]) + "\n")
    else:
        _render(findings, Console(highlight=False))
    return 1 if any(f.level == "bad" for f in findings) else 0


async def examine(checks: tuple[Check, ...], *, fix: bool) -> tuple[Finding, ...]:
    """Look at each thing, and once more after mending it."""
    return tuple(await asyncio.gather(*(_examine(check, fix=fix) for check in checks)))


async def _examine(check: Check, *, fix: bool) -> Finding:
    finding = await check.look()
    if finding.level != "bad" or check.fix is None or not fix:
        return finding
    await check.fix()
    again = await check.look()
    return again.model_copy(update={"fixed": again.level != "bad"})


def _render(findings: tuple[Finding, ...], console: Console) -> None:
    for finding in findings:
        mark, style = _MARKS[finding.level]
        fixed = " (mended)" if finding.fixed else ""
        console.print(plain(f"{mark} {finding.name}: {finding.message}{fixed}", style), soft_wrap=True)
        if finding.next and finding.level != "ok":
            console.print(plain(f"    {finding.next}"), soft_wrap=True)
