"""RFC 6455 as the load client needs it: what it sends, and a parser of what servers send."""

import base64
import os

#: Any key that is not zero: some servers leave out the unmasking when it is.
_MASK = b"\x1f\x8a\x53\xc6"
_MASK_REPEATED = _MASK * 4096

PONG = b"\x8a\x80" + _MASK
#: A close frame with code 1000.
CLOSE = b"\x88\x82" + _MASK + bytes((0x03 ^ _MASK[0], 0xE8 ^ _MASK[1]))


def text_frame(payload: bytes) -> bytes:
    """`payload` as one masked text frame, as clients send them."""
    size = len(payload)
    if size < 126:
        head = bytes((0x81, 0x80 | size))
    elif size < 65_536:
        head = b"\x81\xfe" + size.to_bytes(2, "big")
    else:
        head = b"\x81\xff" + size.to_bytes(8, "big")
    # One XOR of two long numbers is the fastest masking that plain Python has.
    key = _MASK_REPEATED[:size] if size <= 16_384 else (_MASK * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + _MASK + masked.to_bytes(size, "big")


def upgrade_request(target: str, host: str) -> bytes:
    """The opening handshake for `target`, without extensions."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def next_frame(data: bytes, start: int = 0) -> tuple[bytes, int] | None:
    """The payload of the frame of a server that begins at `start`, and where it ends.

    None when it is not whole yet.
    """
    if len(data) < start + 2:
        return None
    size, head = data[start + 1], 2
    if size >= 126:
        head = 4 if size == 126 else 10
        if len(data) < start + head:
            return None
        size = int.from_bytes(data[start + 2 : start + head], "big")
    end = start + head + size
    return (data[start + head : end], end) if len(data) >= end else None
