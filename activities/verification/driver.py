"""Asks a guest many things in few round trips.

A round trip costs 0.1 to 0.5 s, more under emulation, so one program (`guest/probes.pl`, or where there
is no Perl `guest/probes.sh`) runs a batch of probes. What to run travels as data on its standard input:
no text of a recipe is ever part of a program.

One plain question alone goes without it, and before whatever else the guest does: an emulated one that is still busy
with its boot answers within a second then, and within two or three otherwise. It is short, and somebody waits for it.
"""

import base64
import binascii
import time
from collections.abc import Iterator, Sequence

from activities.verification.check import NOT_RUNNABLE, TIMED_OUT, Answer, Probe
from activities.verification.ports import Guest
from activities.verification.programs import text_of
from domain.errors import Verdict

# An answer has at most 8 + 2 KiB, as base64 14 KB; a guest's output is cut at 1 MiB. libvirt passes on 4 MiB.
_BATCH = 64
_REQUEST_BYTES = 512 << 10
_NO_PROGRAM = 127
_MARGIN_SECONDS = 30
_KILL_SECONDS = 2
_OUT_BYTES, _ERR_BYTES = 8192, 2048
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_AT_ONCE = ("nice", "-n", "-20", "env", "LC_ALL=C", _PATH)


async def ask(guest: Guest, probes: Sequence[Probe]) -> tuple[Answer, ...]:
    """Run the probes in order and return one answer for each.

    Raises:
        Verdict: `guest.unusable` if the guest cannot even run the driver, or what `Guest.run` raises.
        Fault: what `Guest.run` raises.

    """
    if len(probes) == 1 and probes[0].plain:
        alone = await _ask_alone(guest, probes[0])
        if alone is not None:
            return (alone,)
    answers: list[Answer] = []
    for batch in _batches(probes):
        answers += await _ask_batch(guest, batch)
    return tuple(answers)


def _batches(probes: Sequence[Probe]) -> Iterator[list[tuple[Probe, bytes]]]:
    batch: list[tuple[Probe, bytes]] = []
    size = 0
    for probe in probes:
        line = _encode(probe)
        if batch and (len(batch) == _BATCH or size + len(line) > _REQUEST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((probe, line))
        size += len(line)
    if batch:
        yield batch


async def _ask_alone(guest: Guest, probe: Probe) -> Answer | None:
    """Run the program as it is; nothing if it cannot be run, of which the driver can say more."""
    began = time.monotonic()
    try:
        words = (*_AT_ONCE, "timeout", "-k", str(_KILL_SECONDS), str(probe.limit), *probe.argv)
        done = await guest.run(words, timeout=probe.limit + _KILL_SECONDS + _MARGIN_SECONDS)
    except Verdict as error:
        if error.code != "guest.timeout":
            raise
        return Answer(status=TIMED_OUT, seconds=round(time.monotonic() - began, 2))
    if done.status in NOT_RUNNABLE:
        return None
    return Answer(
        status=done.status,
        out=done.stdout[:_OUT_BYTES].decode(errors="replace"),
        err=done.stderr[:_ERR_BYTES].decode(errors="replace"),
        seconds=round(time.monotonic() - began, 2),
    )


async def _ask_batch(guest: Guest, probes: Sequence[tuple[Probe, bytes]]) -> list[Answer]:
    limit = sum(probe.limit + _KILL_SECONDS for probe, _ in probes) + _MARGIN_SECONDS
    request = b"".join(line for _, line in probes)
    done = await guest.run(("perl", "-we", text_of("probes.pl")), timeout=limit, stdin=request)
    if done.status == _NO_PROGRAM:
        done = await guest.run(("/bin/sh", "-c", text_of("probes.sh"), "probes"), timeout=limit, stdin=request)
    lines = done.stdout.splitlines()
    if done.status != 0 or len(lines) != len(probes):
        said = (done.stderr.decode(errors="replace").strip() or "nothing").splitlines()[-1][:200]
        raise Verdict.because(
            "guest.unusable",
            f"the tests could not be run in the guest: its shell ended with status {done.status} and said: {said}",
            next="Look at the machine's serial log: the system may be damaged, full or read-only.",
        )
    return [_decode(line) for line in lines]


def _encode(probe: Probe) -> bytes:
    arguments = b"".join(argument.encode() + b"\0" for argument in probe.argv)
    return b"%d %s\n" % (probe.limit, base64.b64encode(arguments))


def _decode(line: bytes) -> Answer:
    try:
        status, spent, out, err = line.split(b" ")
        return Answer(
            status=int(status), out=_text(out, b"o:"), err=_text(err, b"e:"), seconds=max(0, int(spent)) / 100
        )
    except (ValueError, binascii.Error):
        raise Verdict.because(
            "guest.unusable",
            "the guest's answer to a test is damaged",
            next="Look at the machine's serial log; retry if the image was right.",
        ) from None


def _text(data: bytes, prefix: bytes) -> str:
    return base64.b64decode(data.removeprefix(prefix), validate=True).decode(errors="replace")
