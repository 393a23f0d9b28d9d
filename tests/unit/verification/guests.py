"""A guest that speaks the driver's protocol; a test says what each program writes."""

import base64
from collections.abc import Callable, Sequence

from activities.verification.check import Answer
from activities.verification.ports import GuestExec
from domain.model import Value

Reply = Callable[[tuple[str, ...]], Answer]
_PLAIN = ("nice", "-n", "-20", "env", "LC_ALL=C")
_BEFORE = len((*_PLAIN, "PATH=…", "timeout", "-k", "seconds", "limit"))


class Done(Value):
    status: int
    stdout: bytes
    stderr: bytes = b""


class ScriptedGuest:
    """Answers each probe with what `reply` says of its argument list, and keeps what it was asked."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.rounds: list[list[tuple[str, ...]]] = []

    @property
    def asked(self) -> list[tuple[str, ...]]:
        return [argv for batch in self.rounds for argv in batch]

    async def run(self, argv: tuple[str, ...], *, timeout: float, stdin: bytes = b"") -> GuestExec:  # noqa: ASYNC109
        if argv[: len(_PLAIN)] == _PLAIN:  # a program as it is
            probe = argv[_BEFORE:]
            self.rounds.append([probe])
            answer = self._reply(probe)
            return Done(status=answer.status, stdout=answer.out.encode(), stderr=answer.err.encode())
        batch = [_arguments(line) for line in stdin.splitlines()]
        self.rounds.append(batch)
        return Done(status=0, stdout=b"".join(_line(self._reply(probe)) for probe in batch))


class OneGuest:
    """Every machine is this guest."""

    def __init__(self, guest: ScriptedGuest) -> None:
        self._guest = guest

    def guest(self, job_id: str, artifact: str) -> ScriptedGuest:
        return self._guest


class Lines:
    """A step log that is kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.percents: list[float] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, percent: float, text: str) -> None:
        self.percents.append(percent)


_SOUND: dict[str, Answer] = {  # by a word of the argument list
    "started.sh": Answer(status=0, out="running\nactive\n"),
    "systemctl": Answer(
        status=0, out="LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n"
    ),
    "ip": Answer(status=0, out='[{"addr_info": [{"local": "10.0.2.15", "scope": "global"}]}]'),
    "nameservers.sh": Answer(status=0, out="10.0.2.3\n"),
    "ss": Answer(status=0, out="LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n"),
}


def healthy(argv: Sequence[str]) -> Answer:
    """What a sound image of a recipe without surprises says to the default tests."""
    name = argv[2] if argv[0] == "su" else argv[-2] if "login.sh" in argv else ""
    if name:
        return Answer(status=0, out=f"{name}\n")
    if "id -nG" in " ".join(argv):
        return Answer(status=0, out=f"{argv[-1]}:x:1000:1000::/home/{argv[-1]}:/bin/bash\n{argv[-1]}\n")
    if "dmesg" in " ".join(argv):
        return Answer(status=1)
    return next((answer for word, answer in _SOUND.items() if word in argv), Answer(status=0))


def _arguments(line: bytes) -> tuple[str, ...]:
    data = base64.b64decode(line.split(b" ")[1])
    return tuple(part.decode() for part in data.split(b"\0")[:-1])


def _line(answer: Answer) -> bytes:
    out, err = base64.b64encode(answer.out.encode()), base64.b64encode(answer.err.encode())
    return b"%d %d o:%s e:%s\n" % (answer.status, answer.seconds * 100, out, err)
