"""Messages over a real socket: whole, in order, and nobody is starved."""

import asyncio
import struct
import time

from handlers.websocket_protocol import CLOSE_TIMEOUT
from tests.handlers.link.echo import SLACK, Server, frame


async def test_a_text_comes_back(server: Server) -> None:
    async with server.peer() as peer:
        assert peer.response.startswith(b"HTTP/1.1 101 ")
        assert peer.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert peer.header("Sec-WebSocket-Extensions") is None
        await peer.send(frame(0x81, "grüß".encode()))
        assert await peer.receive() == (0x81, "grüß".encode())
        await peer.send(frame(0x82, b"\xff"))
        await peer.send(frame(0x88, struct.pack(">H", 1000) + b"bye"))
        assert await peer.close_code() == 1000
        assert await server.sink.closed == (1000, "bye")
        assert server.sink.binaries == 1
    assert server.closes == 1


async def test_bytes_may_come_one_by_one(server: Server) -> None:
    async with server.peer() as peer:
        stream = frame(0x01, "ü".encode()[:1]) + frame(0x89, b"p") + frame(0x80, "ü".encode()[1:])
        for byte in stream + frame(0x81, b"x" * 300):
            await peer.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert await peer.receive() == (0x8A, b"p")
        assert await peer.receive() == (0x81, "ü".encode())
        assert await peer.receive() == (0x81, b"x" * 300)


async def test_a_thousand_pipelined_messages_come_back_in_order(server: Server) -> None:
    async with server.peer() as peer:
        await peer.send(b"".join(frame(0x81, b"%d" % n) for n in range(1_000)))
        for n in range(1_000):
            assert await peer.receive() == (0x81, b"%d" % n)


async def test_a_chatty_peer_does_not_starve_the_loop(server: Server) -> None:
    async with server.peer() as peer:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while len(sink.texts) < 10_000:
                turns += 1
                await asyncio.sleep(0)

        sink = server.sink
        sink.answer = lambda data: None
        counting = asyncio.create_task(count())
        await peer.send(frame(0x81, b"x") * 10_000)
        await asyncio.wait_for(counting, 30)
        assert turns >= 10_000 // 64


async def test_the_next_message_waits_for_the_sink_but_pings_do_not(server: Server) -> None:
    async with server.peer() as peer:
        sink = server.sink
        gate = asyncio.Event()

        async def answer(data: bytes) -> None:
            await gate.wait()

        sink.answer = answer
        await peer.send(frame(0x81, b"1") + frame(0x89, b"p") + frame(0x81, b"2"))
        assert await peer.receive() == (0x8A, b"p")
        assert sink.texts == [b"1"]
        sink.answer = None
        gate.set()
        assert await peer.receive() == (0x81, b"2")


async def test_a_close_that_has_come_does_not_wait_for_ever_for_the_sink(server: Server) -> None:
    async with server.peer() as peer:
        sink = server.sink
        gate = asyncio.Event()

        async def answer(data: bytes) -> None:
            await gate.wait()

        sink.answer = answer
        begun = time.monotonic()
        await peer.send(frame(0x81, b"1") + frame(0x88, b"\x03\xe9"))
        assert await sink.closed == (1001, "")
        assert time.monotonic() - begun < CLOSE_TIMEOUT + SLACK
        gate.set()


async def test_heard_at_moves_with_every_frame(server: Server) -> None:
    async with server.peer() as peer:
        before = server.sink.link.heard_at()
        await asyncio.sleep(0.01)
        await peer.send(frame(0x8A) + frame(0x81, b"x"))
        await peer.receive()
        assert server.sink.link.heard_at() > before
