"""WebSocket frames (RFC 6455, and RFC 7692 without context takeover) to and from bytes.

Pure: bytes in, bytes and events out. What the server sends is built once and handed to any number
of receivers, since server frames carry no mask. What clients send is read by `anmei.frame_parser`.
"""

import zlib
from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

#: Close codes of RFC 6455 and its registry that the server itself uses or reports.
NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
#: Never on the wire: the peer's close frame carried no code.
NO_CODE: Final = 1005
#: Never on the wire: the connection ended without a close frame.
ABNORMAL: Final = 1006
INVALID_DATA: Final = 1007

MAX_CONTROL_BYTES: Final = 125

#: Bits of the first byte: last fragment of its message, and compressed.
FIN: Final = 0x80
RSV1: Final = 0x40


class ProtocolViolation(Exception):
    """The client broke a rule; the connection has to be closed with `code` and `reason`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


def text_frame(payload: bytes) -> bytes:
    """`payload`, which must be UTF-8, as one text message."""
    return _frame(FIN | TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    return _frame(FIN | BINARY, payload)


def deflate_frame(payload: bytes, level: int = 6) -> bytes:
    """`payload`, which must be UTF-8, as one compressed text message.

    It is the same for every receiver with permessage-deflate, as none keeps a context. A payload
    that would not get smaller is left as it is.
    """
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    # A sync flush ends with the four bytes that the RFC leaves out.
    packed = (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    if len(packed) >= len(payload):
        return text_frame(payload)
    return _frame(FIN | RSV1 | TEXT, packed)


def ping_frame(payload: bytes = b"") -> bytes:
    return _frame(FIN | PING, payload[:MAX_CONTROL_BYTES])


def pong_frame(payload: bytes = b"") -> bytes:
    return _frame(FIN | PONG, payload[:MAX_CONTROL_BYTES])


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    """A close frame; `reason` is shortened to what fits, in whole characters.

    Raises ValueError for a code that must not be on the wire.
    """
    if code is None:
        return _frame(FIN | CLOSE, b"")
    if not may_close_with(code):
        raise ValueError(
            f"close code {code}; on the wire may be 1000–1003, 1007–1014 and 3000–4999"
        )
    text = reason.encode("utf-8", "replace")[: MAX_CONTROL_BYTES - 2].decode("utf-8", "ignore")
    return _frame(FIN | CLOSE, code.to_bytes(2, "big") + text.encode())


def may_close_with(code: int) -> bool:
    """Whether a close frame may carry `code`."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def read_close(payload: bytes) -> tuple[int, str]:
    """Code and reason in the payload of a close frame; code 1005 when it is empty.

    Raises ProtocolViolation when it is none that a client may send.
    """
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise ProtocolViolation(PROTOCOL_ERROR, "close frame of one byte; 0 or 2–125 allowed")
    code = int.from_bytes(payload[:2], "big")
    if not may_close_with(code):
        raise ProtocolViolation(PROTOCOL_ERROR, f"close code {code} must not be on the wire")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(INVALID_DATA, "close reason that is not UTF-8") from None


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size <= 0xFFFF:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload
