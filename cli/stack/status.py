"""`openfactory status`: the stack of this data folder as another terminal sees it."""

from rich.console import Console
from rich.table import Table

from cli.stack.home import is_held, state_path
from cli.stack.memory import process_children, pss_bytes
from cli.stack.state import PartState, StackState, read_state
from domain.model import Value
from infra.settings import Settings

_MEBIBYTE = 1 << 20
_STYLES = {"ready": "green", "done": "dim", "restarting": "red", "stopped": "red"}


class PartView(PartState):
    """A part with what it takes; `pss_bytes` counts the processes below it that are no parts."""

    pss_bytes: int


class StackView(Value):
    """What `status --json` prints. `state` and `parts` only once a stack that runs has told them."""

    running: bool
    home: str
    state: StackState | None = None
    parts: tuple[PartView, ...] = ()
    pss_bytes: int = 0


def look(settings: Settings) -> StackView:
    """Look at the stack; its supervisor's own memory is in the sum."""
    held = is_held(settings)
    state = read_state(state_path(settings)) if held else None
    if state is None:
        return StackView(running=held, home=str(settings.home))
    children = process_children()
    every = frozenset(part.pid for part in state.parts if part.pid is not None)
    parts = tuple(_with_memory(part, children, every) for part in state.parts)
    return StackView(
        running=True,
        home=str(settings.home),
        state=state.model_copy(update={"parts": ()}),
        parts=parts,
        # The parts are children of the supervisor or of the fork server, so this is the whole stack.
        pss_bytes=pss_bytes(state.pid, children),
    )


def render(view: StackView, console: Console) -> None:
    """Print it for people."""
    if view.state is None and view.running:
        console.print(f"A stack on {view.home} is only just starting, or of another version. Stop it: openfactory down")
        return
    if view.state is None:
        console.print(f"No stack runs on {view.home}. Start one: openfactory up")
        return
    where = view.state.addresses
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("part", "condition", "pid", "memory", "restarts", ""):
        table.add_column(name, justify="right" if name in {"pid", "memory", "restarts"} else "left")
    for part in view.parts:
        table.add_row(
            part.name,
            f"[{_STYLES.get(part.condition, 'yellow')}]{part.condition}[/]",
            str(part.pid or ""),
            f"{part.pss_bytes / _MEBIBYTE:.0f} MB" if part.pss_bytes else "",
            str(part.restarts or ""),
            part.note or "",
        )
    console.print(table)
    console.print(f"\nconsole {where.public}   MCP {where.mcp}   Temporal UI {where.temporal_ui or where.temporal}")
    console.print(f"supervisor {view.state.pid}, {view.pss_bytes / _MEBIBYTE:.0f} MB in all, data in {view.home}")


def _with_memory(part: PartState, children: dict[int, list[int]], every: frozenset[int]) -> PartView:
    taken = pss_bytes(part.pid, children, every) if part.pid is not None else 0
    return PartView(**part.model_dump(), pss_bytes=taken)
