from pathlib import Path

from cli.stack.logfile import RotatingLog, last_lines


def test_a_log_is_rotated_by_size_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "a.log", limit=10, keep=2)
    for letter in b"abcd":
        log.write(bytes([letter]) * 8)
    log.close()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        "a.log": b"d" * 8,
        "a.log.1": b"c" * 8,
        "a.log.2": b"b" * 8,
    }


def test_a_log_goes_on_where_the_last_run_ended(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        log = RotatingLog(tmp_path / "a.log")
        log.write(text)
        log.close()
    assert (tmp_path / "a.log").read_bytes() == b"one\ntwo\n"


def test_the_last_lines_leave_out_empty_ones_and_a_missing_log_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("a\nb\n\nc\n\n")
    assert last_lines(tmp_path / "a.log", 2) == ["b", "c"]
    assert last_lines(tmp_path / "b.log") == []
