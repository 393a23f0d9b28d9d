"""The capped log of a serial port."""

from pathlib import Path

from activities.machines.serial_port import HEAD_BYTES, TAIL_BYTES, SerialLog


def test_what_fits_is_kept_as_it_came(tmp_path: Path) -> None:
    log = SerialLog(tmp_path)
    log.write(b"one\n")
    log.write(b"two\n")
    assert log.read() == b"one\ntwo\n"


def test_a_flood_keeps_its_beginning_and_its_end_and_no_more(tmp_path: Path) -> None:
    log = SerialLog(tmp_path)
    log.write(b"the beginning\n")
    for number in range(400):
        log.write(b"%06d " % number + b"x" * 65536 + b"\n")
    log.write(b"the end\n")
    kept = log.read()
    assert kept.startswith(b"the beginning\n")
    assert kept.endswith(b"the end\n")
    assert b"wrote more than is kept" in kept
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= HEAD_BYTES + 3 * TAIL_BYTES


def test_another_reader_sees_what_the_first_wrote(tmp_path: Path) -> None:
    SerialLog(tmp_path).write(b"before the worker died\n")
    assert SerialLog(tmp_path).read() == b"before the worker died\n"
