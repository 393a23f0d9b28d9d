"""What a browser may say to a machine's VNC server (RFC 6143; extensions as in the community's "rfbproto").

All that the browser sends is read message by message, in both modes. What is known is passed on or, from
somebody who may only look, dropped when it is input. What is not known has no known length, so it ends
the session: nothing behind it could be told apart.
"""

from collections.abc import Callable
from typing import Final

_VERSION: Final = b"RFB 003.008\n"
_NO_AUTHENTICATION: Final = b"\x01"
_SHARED: Final = b"\x01"

_SET_PIXEL_FORMAT, _SET_ENCODINGS, _UPDATE_REQUEST = 0, 2, 3
_KEY, _POINTER, _CUT_TEXT = 4, 5, 6
_CONTINUOUS_UPDATES, _FENCE, _SET_DESKTOP_SIZE, _QEMU = 150, 248, 251, 255
_QEMU_KEY: Final = 0

_INPUT: Final = frozenset({_KEY, _POINTER, _CUT_TEXT, _SET_DESKTOP_SIZE, _QEMU})

# Never asked for: a machine is switched by its workflow alone (xvp, -309), nobody listens to its sound (-259),
# and with the extended buttons (-316) a pointer event would have two lengths.
_NOT_OFFERED: Final = frozenset({-309, -259, -316})

_MOST_ENCODINGS: Final = 256
_MOST_TEXT: Final = 1 << 20  # as QEMU's own limit
_MOST_FENCE: Final = 64
_MOST_SCREENS: Final = 16


class RefusedInputError(Exception):
    """The browser said what this console does not take."""


class InputFilter:
    """Follows one browser from its first byte. Messages may come in pieces or several at once."""

    def __init__(self, *, view_only: bool) -> None:
        self._view_only = view_only
        self._rest = bytearray()
        self._handshake: list[Callable[[], bytes | None]] = [self._init, self._security, self._version]

    def feed(self, data: bytes) -> bytes:
        """Take what came and return what to pass on.

        Raises:
            RefusedInputError: the session must end.

        """
        self._rest += data
        passed = bytearray()
        while (message := self._next()) is not None:
            passed += message
        return bytes(passed)

    def _next(self) -> bytes | None:
        """Take one message off, as it is to be passed on; nothing if there is no whole one."""
        if self._handshake:
            step = self._handshake[-1]()
            if step is not None:
                self._handshake.pop()
            return step
        length = _length(self._rest)
        if length is None or len(self._rest) < length:
            return None
        message = self._take(length)
        if message[0] == _SET_ENCODINGS:
            return _without_the_not_offered(message)
        return b"" if self._view_only and message[0] in _INPUT else message

    def _version(self) -> bytes | None:
        """One version only, so that the handshake has one form (RFC 6143, 7.1.1)."""
        return self._expect(_VERSION)

    def _security(self) -> bytes | None:
        return self._expect(_NO_AUTHENTICATION)

    def _init(self) -> bytes | None:
        """A client that wants the screen for itself would throw out the others (RFC 6143, 7.3.1)."""
        if not self._rest:
            return None
        del self._rest[:1]
        return _SHARED

    def _expect(self, wanted: bytes) -> bytes | None:
        got = bytes(self._rest[: len(wanted)])
        if not wanted.startswith(got):
            raise RefusedInputError("this is not RFB 3.8 without authentication")
        return self._take(len(wanted)) if got == wanted else None

    def _take(self, length: int) -> bytes:
        taken = bytes(self._rest[:length])
        del self._rest[:length]
        return taken


def _length(data: bytearray) -> int | None:
    """Tell how long the message at the beginning is; nothing while that cannot be known."""
    if not data:
        return None
    kind = data[0]
    if kind in _FIXED:
        return _FIXED[kind]
    if kind not in _VARIABLE:
        raise RefusedInputError(f"message {kind} is not taken here")
    head, measure = _VARIABLE[kind]
    return measure(data) if len(data) >= head else None


def _of_encodings(data: bytearray) -> int:
    return 4 + 4 * _at_most(_MOST_ENCODINGS, int.from_bytes(data[2:4], "big"))


def _of_text(data: bytearray) -> int:
    # A negative length is one of the extended clipboard: its size is the absolute value.
    return 8 + _at_most(_MOST_TEXT, abs(int.from_bytes(data[4:8], "big", signed=True)))


def _of_fence(data: bytearray) -> int:
    return 9 + _at_most(_MOST_FENCE, data[8])


def _of_screens(data: bytearray) -> int:
    return 8 + 16 * _at_most(_MOST_SCREENS, data[6])


def _of_qemu(data: bytearray) -> int:
    if data[1] != _QEMU_KEY:
        raise RefusedInputError(f"QEMU's message {data[1]} is not taken here")
    return 12


def _at_most(most: int, given: int) -> int:
    if given > most:
        raise RefusedInputError(f"a message of {given} where at most {most} are taken")
    return given


def _without_the_not_offered(message: bytes) -> bytes:
    given = (message[at : at + 4] for at in range(4, len(message), 4))
    kept = [each for each in given if int.from_bytes(each, "big", signed=True) not in _NOT_OFFERED]
    return message[:2] + len(kept).to_bytes(2, "big") + b"".join(kept)


_FIXED: Final = {_SET_PIXEL_FORMAT: 20, _UPDATE_REQUEST: 10, _KEY: 8, _POINTER: 6, _CONTINUOUS_UPDATES: 10}
_VARIABLE: Final[dict[int, tuple[int, Callable[[bytearray], int]]]] = {
    # How many bytes tell the length, and how.
    _SET_ENCODINGS: (4, _of_encodings),
    _CUT_TEXT: (8, _of_text),
    _FENCE: (9, _of_fence),
    _SET_DESKTOP_SIZE: (8, _of_screens),
    _QEMU: (2, _of_qemu),
}
