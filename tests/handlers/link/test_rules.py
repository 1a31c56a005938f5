"""What RFC 6455 forbids is answered with its code."""

import contextlib
import struct
import time

import pytest

from anmei import wire
from anmei.close_codes import CloseCode
from tests.handlers.link.echo import LIMIT, Server, frame

VIOLATIONS = {
    "an unmasked frame": (frame(0x81, b"x", None), 1002),
    "reserved bit 1 without permessage-deflate": (frame(0xC1, b"x"), 1002),
    "reserved bit 2": (frame(0xA1, b"x"), 1002),
    "reserved bit 3": (frame(0x91, b"x"), 1002),
    "a reserved opcode": (frame(0x83, b"x"), 1002),
    "a reserved control opcode": (frame(0x8B, b"x"), 1002),
    "a ping of 126 bytes": (frame(0x89, b"x" * 126), 1002),
    "a fragmented ping": (frame(0x09, b"x"), 1002),
    "a continuation without a start": (frame(0x80, b"x"), 1002),
    "a start inside a message": (frame(0x01, b"x") + frame(0x81, b"x"), 1002),
    "a length not in its shortest form": (b"\x81\xfe\x00\x05" + b"1234" + b"x" * 5, 1002),
    "2^63 bytes": (b"\x81\xff" + (2**63).to_bytes(8, "big"), 1002),
    "2^63-1 bytes announced": (b"\x81\xff" + (2**63 - 1).to_bytes(8, "big"), 4013),
    "one byte too many announced": (b"\x82\xff" + (LIMIT + 1).to_bytes(8, "big"), 4013),
    "too much in fragments": (frame(0x01, b"x" * LIMIT) + frame(0x80, b"x")[:6], 4013),
    "a text that is not UTF-8": (frame(0x81, b"\xff"), 1007),
    "a fragment that cannot become UTF-8": (frame(0x01, b"\xf4\x90"), 1007),
    "a close of one byte": (frame(0x88, b"x"), 1002),
    "a close with a reason that is not UTF-8": (frame(0x88, b"\x03\xe8\xff"), 1007),
    **{
        f"a close with {code}": (frame(0x88, struct.pack(">H", code)), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
}


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_a_violation_is_answered_with_its_code(server: Server, name: str) -> None:
    data, code = VIOLATIONS[name]
    server.farewell = lambda code, reason: wire.text_frame(b"farewell %d" % code)
    async with server.peer() as peer:
        await peer.send(frame(0x81, b"before") + data)
        assert await peer.receive() == (0x81, b"before")
        assert await peer.receive() == (0x81, b"farewell %d" % code)
        assert await peer.close_code() == code
        peer.sock.close()
        assert await server.sink.closed == (1006, "")
        assert server.sink.link.sent_code == code
    assert server.sink.texts == [b"before"]


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1014, 3000, 4999])
async def test_a_valid_close_code_is_echoed(server: Server, code: int) -> None:
    async with server.peer() as peer:
        await peer.send(frame(0x88, struct.pack(">H", code)) + frame(0x81, b"ignored"))
        assert await peer.close_code() == code
        assert await server.sink.closed == (code, "")
    assert server.sink.texts == []


async def test_an_empty_close_is_answered_with_an_empty_one(server: Server) -> None:
    async with server.peer() as peer:
        await peer.send(frame(0x88))
        assert await peer.close_code() == 1005
        assert await server.sink.closed == (1005, "")


@pytest.mark.parametrize("payload", [b"", b"x"])
async def test_fragments_without_end_are_refused(server: Server, payload: bytes) -> None:
    async with server.peer() as peer:
        await peer.send(frame(0x01))
        cpu = time.process_time()
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await peer.send(frame(0x00, payload) * 10_000)
        assert await peer.close_code() == CloseCode.PROTOCOL_ERROR
        assert time.process_time() - cpu < 2
