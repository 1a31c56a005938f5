"""What clients send, judged by every rule of RFC 6455 before memory is spent on it."""

import codecs
import zlib
from collections.abc import Callable
from typing import Final

from anmei.close_codes import CloseCode
from anmei.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    INVALID_DATA,
    MAX_CONTROL_BYTES,
    PING,
    PONG,
    PROTOCOL_ERROR,
    RSV1,
    TEXT,
    ProtocolViolation,
    read_close,
)

MAX_FRAGMENTS: Final = 1_024
#: Events that one `feed` hands out at most.
BATCH: Final = 64

#: A frame or message from the client: its opcode (never CONTINUATION) and its unmasked payload.
Event = tuple[int, bytes]

_CONTROL = 0x08
_MASKED = 0x80
_DEFLATE_TAIL = b"\x00\x00\xff\xff"

# First bytes of the frames that may come next, by what came before.
_CONTROLS = frozenset(FIN | opcode for opcode in (CLOSE, PING, PONG))
_STARTS = _CONTROLS | {fin | opcode for fin in (0, FIN) for opcode in (TEXT, BINARY)}
_DEFLATED_STARTS = _STARTS | {first | RSV1 for first in _STARTS - _CONTROLS}
_CONTINUATIONS = _CONTROLS | {CONTINUATION, FIN | CONTINUATION}


def unmask(mask: bytes, data: bytes) -> bytes:
    """`data` XORed with the four bytes of `mask`, over and over."""
    size = len(data)
    key = (mask * ((size + 3) >> 2))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


class FrameParser:
    """Bytes of one client to its messages and control frames.

    `limit` is the size in bytes that a message may have, inflated and all fragments together; one
    that announces or inflates to more is refused with the close code `too_large`. `deflate` says
    that permessage-deflate was negotiated, with no context takeover by the client. `unmask` may
    be a faster one.
    """

    __slots__ = (
        "_at",
        "_compressed",
        "_data",
        "_decoder",
        "_ended",
        "_expected",
        "_fragments",
        "_held",
        "_limit",
        "_message",
        "_opcode",
        "_refused",
        "_starts",
        "_too_large",
        "_unmask",
        "_wanted",
    )

    def __init__(
        self,
        limit: int,
        *,
        too_large: int = CloseCode.FRAME_TOO_LARGE,
        deflate: bool = False,
        unmask: Callable[[bytes, bytes], bytes] = unmask,
    ) -> None:
        self._limit = limit
        self._too_large = too_large
        self._unmask = unmask
        self._starts = _DEFLATED_STARTS if deflate else _STARTS
        self._expected = self._starts
        # The beginning of a frame, and the size from which on it is worth looking at again: a
        # frame that arrives byte by byte is copied a fixed number of times.
        self._held = bytearray()
        self._wanted = 0
        # Bytes behind the frames of a full batch.
        self._data = b""
        self._at = 0
        # The message whose fragments are arriving.
        self._message = bytearray()
        self._opcode = CONTINUATION
        self._compressed = False
        self._fragments = 0
        self._decoder: codecs.IncrementalDecoder | None = None
        self._refused: tuple[int, str] | None = None
        self._ended = False

    @property
    def limit(self) -> int:
        """The size in bytes that a message may have; another one holds for what is fed later."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit

    def feed(self, data: bytes = b"") -> list[Event]:
        """The next events, in order, at most BATCH; `feed()` again until there are none.

        A compressed message is the last of its batch, so that one is in memory inflated, not 64.
        After a close frame nothing more comes. Raises ProtocolViolation, and nothing else, once
        all events before the offence have been handed out, and from then on every time.
        """
        if self._refused is not None:
            raise ProtocolViolation(*self._refused)
        if self._ended:
            return []
        at = self._at
        if at:
            data, at = (self._data[at:] + data, 0) if data else (self._data, at)
        elif self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return []
            data = bytes(self._held)
            self._held.clear()
        events: list[Event] = []
        try:
            at = self._parse(data, at, events)
        except ProtocolViolation as violation:
            # The exception itself would keep its stack alive, and with it the bytes.
            self._refused = violation.code, violation.reason
            self._held = bytearray()
            self._message = bytearray()
            self._data, self._at = b"", 0
            if not events:
                raise
            return events
        if at < 0 or self._ended:
            self._data, self._at = b"", 0
        else:
            self._data, self._at = data, at
        return events

    def _parse(self, data: bytes, at: int, events: list[Event]) -> int:
        """Append the events in `data[at:]`. Returns where a full batch ended, or -1 when only the
        beginning of a frame was left, which is then held."""
        size = len(data)
        unmask = self._unmask
        while True:
            start = at
            if size - at < 2:
                wanted = 2
                break
            first = data[at]
            second = data[at + 1]
            if first not in self._expected or second < _MASKED:
                raise self._refusal(first, second)
            at += 2
            length = second & 0x7F
            if length > MAX_CONTROL_BYTES:
                if first & _CONTROL:
                    raise ProtocolViolation(
                        PROTOCOL_ERROR, f"control frame of more than {MAX_CONTROL_BYTES} bytes"
                    )
                width = 2 if length == 126 else 8
                if size - at < width:
                    wanted = 2 + width
                    break
                length = _read_length(data[at : at + width])
                at += width
            if length > self._limit - len(self._message) and not first & _CONTROL:
                raise ProtocolViolation(
                    self._too_large, f"message too large; at most {self._limit} bytes are allowed"
                )
            end = at + 4 + length
            if end > size:
                wanted = end - start
                break
            payload = unmask(data[at : at + 4], data[at + 4 : end])
            at = end
            if first == FIN | TEXT:
                if not payload.isascii():
                    _check_text(payload)
                events.append((TEXT, payload))
            elif first & _CONTROL:
                opcode = first & 0x0F
                if opcode == CLOSE:
                    read_close(payload)
                    self._ended = True
                    events.append((CLOSE, payload))
                    return at
                events.append((opcode, payload))
            else:
                compressed = self._append(first, payload, events)
                if compressed and at < size:
                    return at
            if len(events) == BATCH and at < size:
                return at
        if start < size:
            self._held += data[start:] if start else data
            self._wanted = wanted
        return -1

    def _append(self, first: int, payload: bytes, events: list[Event]) -> bool:
        """Add a data frame to its message. Returns whether it completed a compressed one."""
        opcode = first & 0x0F
        if opcode != CONTINUATION:
            self._opcode = opcode
            self._compressed = bool(first & RSV1)
            self._fragments = 0
            self._expected = _CONTINUATIONS
            self._decoder = (
                codecs.getincrementaldecoder("utf-8")()
                if opcode == TEXT and not self._compressed
                else None
            )
        # Bytes are bounded already, but a fragment may be empty, and each costs time.
        self._fragments += 1
        if self._fragments > MAX_FRAGMENTS:
            raise ProtocolViolation(
                CloseCode.PROTOCOL_ERROR,
                f"too many fragments; a message may have at most {MAX_FRAGMENTS}",
            )
        final = first >= FIN
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, final)
            except UnicodeDecodeError:
                raise ProtocolViolation(INVALID_DATA, "text message that is not UTF-8") from None
        if not final:
            self._message += payload
            return False
        if self._message:
            payload = bytes(self._message + payload)
            self._message = bytearray()
        self._decoder = None
        self._expected = self._starts
        if self._compressed:
            payload = self._inflate(payload)
            if self._opcode == TEXT:
                _check_text(payload)
        events.append((self._opcode, payload))
        return self._compressed

    def _inflate(self, payload: bytes) -> bytes:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # One byte over the limit is enough to know; the rest of a bomb is never unpacked.
            inflated = inflate.decompress(payload + _DEFLATE_TAIL, self._limit + 1)
        except zlib.error:
            raise ProtocolViolation(INVALID_DATA, "compressed message that does not inflate") from (
                None
            )
        if len(inflated) > self._limit:
            raise ProtocolViolation(
                self._too_large,
                f"message too large when inflated; at most {self._limit} bytes are allowed",
            )
        # A final block may end the message, followed by at most the zero byte that makes the
        # omitted tail a block of its own (RFC 7692, 7.2.3.4).
        if inflate.unused_data not in (b"", _DEFLATE_TAIL, b"\x00" + _DEFLATE_TAIL):
            raise ProtocolViolation(INVALID_DATA, "compressed message with bytes behind its end")
        return inflated

    def _refusal(self, first: int, second: int) -> ProtocolViolation:
        """Why a frame that begins with these two bytes cannot come now."""
        opcode = first & 0x0F
        if first & 0x70 and first & ~0x70 in self._expected:
            what = "reserved bits are set"
        elif opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            what = f"reserved opcode {opcode}"
        elif opcode & _CONTROL and not first & FIN:
            what = "fragmented control frame"
        elif first & 0x70:
            what = "reserved bits are set"
        elif first not in self._expected and opcode == CONTINUATION:
            what = "continuation of no message"
        elif first not in self._expected:
            what = "new message before the last one was finished"
        else:
            what = "frame without a mask"
        return ProtocolViolation(PROTOCOL_ERROR, what)


def _read_length(field: bytes) -> int:
    """The length in an extended length field of 2 or 8 bytes."""
    length = int.from_bytes(field, "big")
    if length >> 63:
        raise ProtocolViolation(PROTOCOL_ERROR, "length with the highest bit set")
    if length <= MAX_CONTROL_BYTES or (len(field) == 8 and length <= 0xFFFF):
        raise ProtocolViolation(PROTOCOL_ERROR, "length not in its shortest form")
    return length


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(INVALID_DATA, "text message that is not UTF-8") from None
