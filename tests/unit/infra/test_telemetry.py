"""A log line is one line and tells no secret."""

import logging

from infra.keys import new_api_key
from infra.telemetry import OneLine


def line(message: str, *args: object, error: Exception | None = None) -> str:
    info = None if error is None else (type(error), error, None)
    record = logging.LogRecord("a.b", logging.WARNING, __file__, 1, message, args, info)
    record.created = 1893456000.25
    return OneLine("projector").format(record)


def test_a_record_is_one_line_with_time_part_and_level() -> None:
    assert line("one\ntwo %d", 3) == "2030-01-01T00:00:00.250Z projector warning a.b: one\\ntwo 3"


def test_an_exception_stays_on_the_line() -> None:
    text = line("failed", error=ValueError("why"))
    assert text.endswith("failed\\nValueError: why")


def test_keys_and_passwords_are_masked() -> None:
    key = new_api_key()
    text = line("got %s from postgresql://me:hunter2@host/db", key)
    assert "hunter2" not in text
    assert key.split("_", 2)[2] not in text
    assert key.split("_", 2)[1] in text
    assert "postgresql://me:***@host/db" in text


def test_guests_tokens_and_signed_links_are_masked() -> None:
    token = "abc-DEF_" * 4
    quoted = (f"GET /download/{token}/my image.qcow2", f"GET /console/{token}", f"X-Guest-Id: ofg_{token}")
    text = line("bad request", error=ValueError(" ".join(repr(part.encode()) for part in quoted)))
    assert "/download/***/my image.qcow2" in text
    assert "b'GET /console/***'" in text
    assert "ofg_***'" in text
    assert token not in text
    assert "/console/app.py" in line('File "/factory/console/app.py", line 3')
