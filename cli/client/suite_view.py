"""A suite as a person sees it."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.client.test_run_view import STYLES
from cli.client.words import plain, problem_text
from domain.suite.views import SlotView, SuiteView


def render_suite(suite: SuiteView, console: Console) -> None:
    """Print a suite: its machines, its cases, and whether it can be run."""
    head = Text("Suite ", style="bold").append_text(plain(suite.name, "bold"))
    console.print(head.append(f"  {suite.suite_id}  version {suite.version}", style="dim"), soft_wrap=True)
    if suite.slots:
        console.print(_slots(suite))
    if suite.cases:
        console.print(plain(f"cases: {', '.join(suite.cases)}"), soft_wrap=True)
    if suite.readiness is not None:
        for problem in suite.readiness.problems:
            console.print(problem_text(problem), soft_wrap=True)
        for warning in suite.readiness.warnings:
            console.print(problem_text(warning, mark="⚠"), soft_wrap=True)
        if suite.readiness.ready:
            console.print(Text("✓ ", style="bold green").append(f"Run it: openfactory suite run {suite.name} --wait"))
    if suite.latest_run is not None:
        run = suite.latest_run
        line = Text(f"latest run {run.run_id[:8]} ").append(run.status, style=STYLES.get(run.status, ""))
        line.append(f", {run.passed} of {run.total} cases passed")
        if run.failure:
            line.append_text(plain(f" - {run.failure}", "red"))
        console.print(line, soft_wrap=True)


def _slots(suite: SuiteView) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("slot", "image", "from", "state", "what it is"):
        table.add_column(name, no_wrap=name != "what it is")
    for slot in suite.slots:
        origin = "" if slot.target is None else f"{slot.target.source} {slot.target.source_id[:8]}"
        table.add_row(plain(slot.name), plain(slot.image or "-"), origin, _state(slot), plain(slot.description))
    return table


def _state(slot: SlotView) -> Text:
    if slot.target is None:
        return Text("unbound" if slot.required else "unbound, optional", style="yellow" if slot.required else "dim")
    if slot.verified is None:
        return plain(slot.status, "dim")
    return Text("verified", style="green") if slot.verified else Text("unverified", style="yellow")
