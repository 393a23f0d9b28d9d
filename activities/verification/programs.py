"""The small programs that run inside guests (folder `guest/`), read when first needed."""

from functools import cache
from pathlib import Path

from activities.verification.check import Probe

_FOLDER = Path(__file__).resolve().parent / "guest"


@cache
def text_of(name: str) -> str:
    """Return the program's text."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def probe_of(name: str, *arguments: str, limit: int, shown: str, plain: bool = False) -> Probe:
    """Make a probe that runs the program with these arguments, each of which stays one argument.

    `limit` is in seconds. `shown` is what a person would type to see the same.
    """
    if name.endswith(".pl"):
        return Probe(argv=("perl", "-e", text_of(name), "--", *arguments), limit=limit, shown=shown, plain=plain)
    return Probe(argv=("sh", "-c", text_of(name), name, *arguments), limit=limit, shown=shown, plain=plain)


def once(probe: Probe, name: str) -> Probe:
    """Make the same probe, run only once in the guest for each `name` (a file's), however often it is asked.

    A later one adopts what the first said. So it does when the first's asker died meanwhile.
    """
    argv = ("sh", "-c", text_of("once.sh"), "once.sh", name, *probe.argv)
    return Probe(argv=argv, limit=probe.limit, shown=probe.command)
