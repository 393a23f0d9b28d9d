"""Commands of a recipe or suite, run by the guest's /bin/sh (see `guest/command.pl`): probe and judgement."""

import shlex

from activities.verification.assertions.file_contains import conditions, wanted
from activities.verification.check import Answer, Finding, Probe, fails, holds, unknown
from activities.verification.programs import probe_of
from domain.model import Value

_SHOWN = 200


class Run(Value):
    """A command and what is expected of it; `status` None takes any. `timeout` is in seconds."""

    argv: tuple[str, ...]
    user: str | None = None
    status: int | None = 0
    contains: str | None = None
    matches: str | None = None
    equals: str | None = None
    timeout: int = 30

    @property
    def short(self) -> str:
        """The command in one short line."""
        text = self.argv[2] if self.argv[:2] == ("sh", "-c") else shlex.join(self.argv)
        line = " ".join(text.split())
        return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"

    @property
    def expected(self) -> str:
        """What is expected, for people."""
        parts = [] if self.status is None else [f"exit status {self.status}"]
        text = wanted(self.contains, self.matches, self.equals)
        return ", ".join([*parts, *([f"output: {text}"] if text else [])]) or "that it ends"

    @property
    def probe(self) -> Probe:
        """The program that runs it."""
        told = conditions(self.contains, self.matches, self.equals)
        shown = f"runuser -u {self.user} -- {self.short}" if self.user else self.short
        arguments = (self.user or "", str(len(told)), *told, *self.argv)
        return probe_of("command.pl", *arguments, limit=self.timeout, shown=shown)

    def judge(self, answer: Answer) -> Finding:
        """Judge what the program wrote: facts, an empty line, and the beginning of the output."""
        head, _, output = answer.out.partition("\n\n")
        facts = dict(line.split(" ", 1) for line in head.splitlines() if " " in line)
        if answer.status != 0 or not facts.get("status", "").isdigit():
            return unknown(facts.get("error", answer.words))
        wrong = [words for name, words in _WRONG.items() if facts.get(name) == "no"]
        status = int(facts["status"])
        said = output.strip()
        found = ", ".join([f"exit status {status}", *wrong]) + (f": {said}" if said else ", no output")
        return holds(found) if not wrong and self.status in {None, status} else fails(found)


_WRONG = {"contains": "without the text", "matches": "no match", "equals": "another text"}
