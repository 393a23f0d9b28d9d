"""What `openfactory gc` says while it waits."""

import io
from collections.abc import Iterator

from rich.console import Console

from cli.gc import _Progress  # pyright: ignore[reportPrivateUsage] - what it says is what people see


def test_progress_is_told_at_once_when_it_changes_and_now_and_then() -> None:
    times: Iterator[float] = iter((0, 0, 1, 2, 11, 12, 13))
    out = io.StringIO()
    progress = _Progress(Console(file=out, highlight=False), lambda: float(next(times)))
    for what in ("waiting", "waiting", "waiting", "waiting", "looking", "looking"):
        progress.tell(what)
    assert out.getvalue().splitlines() == ["waiting …", "waiting … (11 s)", "looking … (12 s)"]
