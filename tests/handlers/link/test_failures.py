"""A sink that fails ends its own connection and nothing else."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.handlers.link.echo import EchoSink, Server, frame, stuff


async def fail_later(data: bytes) -> None:
    await asyncio.sleep(0)
    raise RuntimeError("later")


async def cancelled_later(data: bytes) -> None:
    raise asyncio.CancelledError


def fail_now(data: bytes) -> None:
    raise StopIteration("now")


@pytest.mark.parametrize("answer", [fail_now, fail_later, cancelled_later])
async def test_a_failing_sink_closes_with_4203(
    server: Server, answer: Any, expect_log: Callable[[str], None]
) -> None:
    expect_log("closing a connection that failed")
    async with server.peer() as peer:
        sink = server.sink
        sink.answer = answer
        await peer.send(frame(0x81, b"1") + frame(0x81, b"2"))
        assert await peer.receive() == (0x88, struct.pack(">H", 4203) + b"server error")
        await peer.send(frame(0x88, struct.pack(">H", 4203)))
        assert await sink.closed == (4203, "")
        await peer.ended()
    assert sink.texts == [b"1"]


@pytest.mark.parametrize("method", ["on_binary", "on_drain", "on_closed"])
async def test_a_failing_notice_ends_the_connection_and_nothing_else(
    server: Server,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    expect_log: Callable[[str], None],
) -> None:
    expect_log("on_closed failed" if method == "on_closed" else "closing a connection that failed")

    def fail(*arguments: object) -> None:
        raise KeyError(method)

    async with server.peer() as peer:
        sink = server.sink
        monkeypatch.setattr(sink, method, fail)
        count = await stuff(sink.link)
        await peer.send(frame(0x82, b"x") if method == "on_binary" else frame(0x8A))
        for _ in range(count):
            assert (await peer.receive())[0] == 0x81
        if method == "on_closed":
            await peer.send(frame(0x88))
            assert await peer.close_code() == 1005
        else:
            assert await peer.receive() == (0x88, struct.pack(">H", 4203) + b"server error")
            await peer.send(frame(0x88, struct.pack(">H", 4203)))
            assert await sink.closed == (4203, "")
        await peer.ended()
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    assert server.closes == 1


@pytest.mark.parametrize("later", [False, True])
async def test_a_failing_open_closes_with_4203(
    server: Server, later: bool, expect_log: Callable[[str], None]
) -> None:
    expect_log("closing a connection that failed")

    def fail(sink: EchoSink) -> Awaitable[None] | None:
        return fail_later(b"") if later else fail_now(b"")

    server.on_open = fail
    async with server.peer() as peer:
        assert await peer.receive() == (0x88, struct.pack(">H", 4203) + b"server error")
        await peer.send(frame(0x88, struct.pack(">H", 4203)))
        assert await server.sink.closed == (4203, "")
    assert server.closes == 1


async def test_nothing_reaches_the_sink_before_open_has_ended(server: Server) -> None:
    gate = asyncio.Event()

    async def wait(sink: EchoSink) -> None:
        await gate.wait()

    server.on_open = wait
    async with server.peer() as peer:
        await peer.send(frame(0x81, b"x"))
        await asyncio.sleep(0.02)
        peer.sock.close()
        await asyncio.sleep(0.02)
        assert (server.sink.texts, server.sink.ends) == ([], [])
        gate.set()
        assert await server.sink.closed == (1006, "")


async def test_what_comes_together_with_the_handshake_waits_for_open_and_comes_first(
    server: Server,
) -> None:
    gate = asyncio.Event()

    async def wait(sink: EchoSink) -> None:
        await gate.wait()

    server.on_open = wait
    async with server.peer(behind=frame(0x81, b"1") + frame(0x81, b"22")[:3]) as peer:
        await peer.send(frame(0x81, b"22")[3:])
        gate.set()
        assert await peer.receive() == (0x81, b"1")
        assert await peer.receive() == (0x81, b"22")
