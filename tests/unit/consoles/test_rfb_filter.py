"""What a browser says reaches the machine unchanged, or not at all, however it is cut into pieces."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.consoles.rfb_filter import InputFilter, RefusedInputError

HELLO = b"RFB 003.008\n\x01\x01"
KEY = struct.pack(">BBxxI", 4, 1, ord("a"))
POINTER = struct.pack(">BBHH", 5, 1, 10, 20)
CUT = struct.pack(">BxxxI", 6, 5) + b"paste"
EXTENDED_CUT = struct.pack(">Bxxxi", 6, -8) + b"\x10\x00\x00\x01text"
QEMU_KEY = struct.pack(">BBHII", 255, 0, 1, ord("a"), 30)
RESIZE = struct.pack(">BxHHBx", 251, 800, 600, 1) + bytes(16)
FORMAT = struct.pack(">Bxxx16s", 0, bytes(16))
UPDATE = struct.pack(">BBHHHH", 3, 1, 0, 0, 640, 480)
CONTINUOUS = struct.pack(">BBHHHH", 150, 1, 0, 0, 640, 480)
FENCE = struct.pack(">BxxxIB", 248, 1, 3) + b"abc"


def encodings(*numbers: int) -> bytes:
    return struct.pack(f">BxH{len(numbers)}i", 2, len(numbers), *numbers)


ENCODINGS = encodings(7, 16, -223, -258, -308)
INPUT = (KEY, POINTER, CUT, EXTENDED_CUT, QEMU_KEY, RESIZE)
OTHER = (FORMAT, UPDATE, CONTINUOUS, FENCE, ENCODINGS)


def in_pieces(data: bytes, cuts: set[int]) -> list[bytes]:
    places = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


def passed(pieces: list[bytes], *, view_only: bool) -> bytes:
    judge = InputFilter(view_only=view_only)
    return b"".join(judge.feed(piece) for piece in pieces)


messages = st.lists(st.sampled_from(INPUT + OTHER), max_size=12)


@given(messages, st.data())
def test_who_controls_has_every_message_passed_on_in_whatever_pieces(said: list[bytes], data: st.DataObject) -> None:
    whole = HELLO + b"".join(said)
    cuts = data.draw(st.sets(st.integers(0, len(whole))))
    assert passed(in_pieces(whole, cuts), view_only=False) == whole


@given(messages, st.data())
def test_who_looks_has_no_input_passed_on_in_whatever_pieces(said: list[bytes], data: st.DataObject) -> None:
    whole = HELLO + b"".join(said)
    cuts = data.draw(st.sets(st.integers(0, len(whole))))
    kept = b"".join(message for message in said if message not in INPUT)
    assert passed(in_pieces(whole, cuts), view_only=True) == HELLO + kept


@pytest.mark.parametrize("view_only", [True, False])
def test_each_byte_by_itself_is_enough(*, view_only: bool) -> None:
    whole = HELLO + b"".join(INPUT + OTHER)
    expected = HELLO + b"".join(OTHER) if view_only else whole
    assert passed([bytes([byte]) for byte in whole], view_only=view_only) == expected


def test_a_key_that_is_hidden_inside_pasted_text_is_text() -> None:
    text = KEY * 100
    cut = struct.pack(">BxxxI", 6, len(text)) + text
    assert passed([HELLO + cut + UPDATE], view_only=True) == HELLO + UPDATE
    assert passed([HELLO + cut[:50], cut[50:] + UPDATE], view_only=True) == HELLO + UPDATE


def test_nothing_of_an_unfinished_message_is_passed_on() -> None:
    judge = InputFilter(view_only=False)
    assert judge.feed(HELLO) == HELLO
    assert judge.feed(KEY[:7]) == b""
    assert judge.feed(KEY[7:] + POINTER[:1]) == KEY
    assert judge.feed(POINTER[1:]) == POINTER


@pytest.mark.parametrize("view_only", [True, False])
def test_nobody_throws_out_the_other_viewers(*, view_only: bool) -> None:
    alone = HELLO[:-1] + b"\x00"
    assert passed([alone + UPDATE], view_only=view_only) == HELLO + UPDATE


def test_what_would_switch_the_machine_or_change_the_language_is_not_negotiated() -> None:
    assert passed([HELLO + encodings(7, -309, -258, -316, -259)], view_only=False) == HELLO + encodings(7, -258)
    assert passed([HELLO + encodings()], view_only=False) == HELLO + encodings()


@pytest.mark.parametrize(
    "said",
    [
        b"RFB 003.003\n",
        b"RFB 003.008\r",
        b"GET / HTTP/1.1\r\n",
        b"RFB 003.008\n\x02",  # VNC authentication
        b"RFB 003.008\n\x13",  # VeNCrypt
        HELLO + b"\xfa\x00\x01\x02",  # xvp: shut down
        HELLO + b"\xff\x01\x00\x00",  # QEMU: sound
        HELLO + b"\xff\x02\x00\x00",
        HELLO + b"\x01",
        HELLO + b"\xfc",
        HELLO + struct.pack(">BxH", 2, 257),
        HELLO + struct.pack(">BxxxI", 6, (1 << 20) + 1),
        HELLO + struct.pack(">BxxxI", 6, 1 << 31),
        HELLO + struct.pack(">BxxxIB", 248, 0, 65),
        HELLO + struct.pack(">BxHHBx", 251, 1, 1, 17),
    ],
)
@pytest.mark.parametrize("view_only", [True, False])
def test_what_is_not_known_or_too_long_ends_the_session(said: bytes, *, view_only: bool) -> None:
    with pytest.raises(RefusedInputError):
        passed([bytes([byte]) for byte in said], view_only=view_only)


@given(st.binary(max_size=200), st.booleans())
def test_noise_is_refused_or_waited_for_and_never_passed_on_to_a_machine_somebody_only_looks_at(
    noise: bytes, at_once: bool
) -> None:
    judge = InputFilter(view_only=True)
    judge.feed(HELLO)
    pieces = [noise] if at_once else [bytes([byte]) for byte in noise]
    out = b""
    try:
        for piece in pieces:
            out += judge.feed(piece)
    except RefusedInputError:
        pass
    # All that passes is made of messages that are no input; read it again as such.
    assert passed([HELLO + out], view_only=True) == HELLO + out
