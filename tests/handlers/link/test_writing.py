"""What is written to slow, silent and leaving peers, and the end of a connection."""

import asyncio
import gc
import random
import socket
import struct
import time
import weakref

import pytest

from anmei import wire
from anmei.close_codes import CloseCode
from handlers.websocket_protocol import CLOSE_TIMEOUT
from tests.handlers.link.echo import SLACK, Server, frame, stuff


async def test_what_a_slow_reader_gets_is_whole_and_in_order(server: Server) -> None:
    async with server.peer(receive_buffer=4_096) as peer:
        sink = server.sink
        link = sink.link
        link._conduit._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        sizes = [random.Random(7).randrange(1, 20_000) for _ in range(200)]
        for n, size in enumerate(sizes):
            link.send(wire.text_frame(b"%05d" % n + b"x" * size))
            if n % 10 == 0:
                link.ping()
        assert link.buffered() > 0
        await peer.send(frame(0x89, b"here"))
        expected = []
        for n, size in enumerate(sizes):
            expected.append((0x81, b"%05d" % n + b"x" * size))
            if n % 10 == 0:
                expected.append((0x89, b""))
        for item in expected:
            assert await peer.receive() == item
        assert await peer.receive() == (0x8A, b"here")
        await asyncio.wait_for(sink.drained.wait(), 30)
        assert sink.drains == 1
        assert link.buffered() == 0


async def test_of_many_pings_while_data_waits_the_first_and_last_are_answered(
    server: Server,
) -> None:
    async with server.peer() as peer:
        count = await stuff(server.sink.link)
        before = server.sink.link.buffered()
        for n in range(1_000):
            await peer.send(frame(0x89, b"%d" % n))
        await peer.send(frame(0x81, b"mark"))
        await server.sink.heard.wait()
        assert server.sink.link.buffered() < before + 100
        for _ in range(count):
            assert (await peer.receive())[0] == 0x81
        assert await peer.receive() == (0x8A, b"0")
        assert await peer.receive() == (0x81, b"mark")
        assert await peer.receive() == (0x8A, b"999")


async def test_a_close_goes_behind_what_waits_and_ends_when_it_is_answered(server: Server) -> None:
    async with server.peer() as peer:
        link = server.sink.link
        count = await stuff(link)
        link.close(CloseCode.DRAINING, "going down")
        link.close(CloseCode.SERVER_ERROR, "again")
        link.send(wire.text_frame(b"too late"))
        link.ping()
        for _ in range(count):
            assert (await peer.receive())[0] == 0x81
        assert await peer.receive() == (0x88, struct.pack(">H", 4102) + b"going down")
        await peer.send(frame(0x81, b"ignored") + frame(0x88, struct.pack(">H", 4102)))
        await peer.ended()
        assert await server.sink.closed == (4102, "")
    assert server.sink.texts == []
    assert server.sink.drains == 0


async def test_a_peer_that_does_not_answer_a_close_is_dropped(server: Server) -> None:
    async with server.peer() as peer:
        begun = time.monotonic()
        server.sink.link.close(4200, "too slow")
        assert (await peer.receive())[0] == 0x88
        assert await server.sink.closed == (1006, "")
        assert CLOSE_TIMEOUT - 0.1 < time.monotonic() - begun < CLOSE_TIMEOUT + SLACK


async def test_a_peer_that_never_reads_is_dropped_within_the_close_timeout(server: Server) -> None:
    async with server.peer() as peer:
        link = server.sink.link
        await stuff(link, 20_000_000)
        assert link.buffered() >= 20_000_000
        async with server.peer() as other:
            await other.send(frame(0x81, b"alive"))
            assert await other.receive() == (0x81, b"alive")
        begun = time.monotonic()
        link.close(CloseCode.TOO_SLOW, "too slow")
        assert await server.sinks[0].closed == (1006, "")
        assert time.monotonic() - begun < CLOSE_TIMEOUT + SLACK
        assert link.buffered() == 0
        link.send(b"nothing")
        link.ping()
        link.close(1000, "")
        assert peer.sock.fileno() > 0


async def test_the_answer_to_a_close_goes_behind_what_waits(server: Server) -> None:
    async with server.peer() as peer:
        count = await stuff(server.sink.link)
        await peer.send(frame(0x88, struct.pack(">H", 1001)))
        for _ in range(count):
            assert (await peer.receive())[0] == 0x81
        assert await peer.close_code() == 1001
        assert await server.sink.closed == (1001, "")


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (frame(0x89, b"p"), (0x8A, b"p")),
        (frame(0x88, struct.pack(">H", 1000)), (0x88, struct.pack(">H", 1000))),
        (frame(0x81, b"x", mask=None), (0x81, b"farewell")),
    ],
    ids=["a pong", "the answer to a close", "a farewell"],
)
async def test_what_the_sink_keeps_back_goes_before(
    server: Server, sent: bytes, answer: tuple[int, bytes]
) -> None:
    server.farewell = lambda code, reason: wire.text_frame(b"farewell")
    async with server.peer() as peer:
        server.sink.kept = wire.text_frame(b"kept")
        await peer.send(sent)
        assert await peer.receive() == (0x81, b"kept")
        assert await peer.receive() == answer


async def test_a_reset_peer_is_gone_quietly(server: Server) -> None:
    async with server.peer() as peer:
        link = server.sink.link
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.sock.close()
        link.send(wire.text_frame(b"x"))
        link.send(wire.text_frame(b"x"))
        assert await server.sink.closed == (1006, "")
        link.send(wire.text_frame(b"x"))
    assert len(server.sink.ends) == 1


async def test_a_half_closed_peer_is_served_up_to_its_last_message(server: Server) -> None:
    async with server.peer() as peer:
        await peer.send(frame(0x81, b"x") * 100)
        peer.sock.shutdown(socket.SHUT_WR)
        assert await server.sink.closed == (1006, "")
    assert server.sink.texts == [b"x"] * 100


async def test_a_peer_that_leaves_while_the_sink_is_busy_is_told_at_once(server: Server) -> None:
    async with server.peer() as peer:
        sink = server.sink
        gate = asyncio.Event()

        async def answer(data: bytes) -> None:
            await gate.wait()

        sink.answer = answer
        await peer.send(frame(0x81, b"1") + frame(0x81, b"2"))
        await sink.heard.wait()
        peer.sock.close()
        assert await sink.closed == (1006, "")
        gate.set()
        await asyncio.sleep(0.01)
    assert sink.texts == [b"1"]
    assert len(sink.ends) == 1


@pytest.mark.parametrize(
    "ending", [b"", frame(0x88, b"\x03\xe8"), frame(0x83)], ids=["gone", "closed", "violation"]
)
async def test_a_closed_connection_leaves_nothing_to_the_collector(
    server: Server, ending: bytes
) -> None:
    gc.collect()
    gc.disable()
    try:
        async with server.peer() as peer:
            link = weakref.ref(server.sink.link)
            closed = server.sink.closed
            await peer.send(frame(0x81, b"x") + ending)
            await peer.receive()
            if ending:
                await peer.close_code()
        await closed
        server.sinks.clear()
        # The server's task is over once what wakes it has run.
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
        await asyncio.sleep(0)
        assert link() is None
    finally:
        gc.enable()
