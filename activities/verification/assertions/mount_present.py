"""`mount_present`: a mount point, in /proc/self/mountinfo (proc_pid_mountinfo(5))."""

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds, unknown
from domain.model import Value
from domain.recipe.claims import MountPresent

_ESCAPES = {"\\": r"\134", " ": r"\040", "\t": r"\011", "\n": r"\012"}
_NOTHING_FOUND = 1  # grep(1)


class _Mount(Value):
    point: str
    options: tuple[str, ...]
    fstype: str
    source: str


def check(claim: MountPresent, suite: str) -> Check:
    """Claim that something is mounted there, and what; of several, the one on top counts."""
    more = "".join(
        [
            f" from {claim.source}" if claim.source else "",
            f" as {claim.fstype}" if claim.fstype else "",
            f" with {','.join(claim.options)}" if claim.options else "",
        ]
    )
    return Check(
        suite=suite,
        description=f"{claim.path} is mounted",
        opposite=f"{claim.path} is not mounted{more}",
        type="mount_present",
        expected=f"{claim.path} mounted{more}",
        probe=Probe(
            argv=("grep", "-F", "--", f" {_escaped(_point(claim))} ", "/proc/self/mountinfo"),
            shown=f"findmnt --mountpoint {claim.path}",
            plain=True,
        ),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
        settles=True,
    )


def _judge(claim: MountPresent, answer: Answer) -> Finding:
    if answer.status not in {0, _NOTHING_FOUND}:
        return unknown(answer.words)
    mounts = [m for line in answer.lines if (m := _read(line)) and m.point == _escaped(_point(claim))]
    if not mounts:
        return fails("nothing is mounted there")
    mount = mounts[-1]
    found = f"{mount.source} as {mount.fstype} with {','.join(mount.options)}"
    right = (
        claim.source in {None, mount.source}
        and claim.fstype in {None, mount.fstype}
        and set(claim.options) <= set(mount.options)
    )
    return holds(found) if right else fails(found)


def _point(claim: MountPresent) -> str:
    return claim.path.rstrip("/") or "/"


def _escaped(path: str) -> str:
    return "".join(_ESCAPES.get(c, c) for c in path)


def _read(line: str) -> _Mount | None:
    left, _, right = line.partition(" - ")
    before, after = left.split(" "), right.split(" ")
    try:
        options = (*before[5].split(","), *after[2].split(","))
        return _Mount(point=before[4], options=tuple(dict.fromkeys(options)), fstype=after[0], source=_plain(after[1]))
    except IndexError:
        return None


def _plain(text: str) -> str:
    for plain, escaped in reversed(_ESCAPES.items()):
        text = text.replace(escaped, plain)
    return text
