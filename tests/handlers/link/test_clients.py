"""Other people's clients, and TLS."""

import contextlib
import ssl

import pytest
import tornado.websocket
import websockets
from tornado.ioloop import IOLoop

from anmei import wire
from anmei.close_codes import CloseCode
from tests.handlers.link.echo import LIMIT, PATIENT, Server


async def test_the_websockets_client(server: Server) -> None:
    async with websockets.connect(
        f"ws://127.0.0.1:{server.port}", subprotocols=["anmei.v1"], max_size=None, **PATIENT
    ) as client:
        assert client.subprotocol == "anmei.v1"
        for text in ("", "grüß", "x" * 126, "x" * 65_536, "x" * LIMIT):
            await client.send(text)
            assert await client.recv() == text
        await client.send(["one ", "two ", "three"])
        assert await client.recv() == "one two three"
        await (await client.ping(b"hello"))
        server.sink.link.close(CloseCode.REPLACED, "replaced")
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.rcvd.code == 4010
        assert closed.value.rcvd.reason == "replaced"
    assert (await server.sink.closed)[0] == 4010


async def test_a_websockets_client_that_sends_too_much_learns_why(server: Server) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{server.port}", **PATIENT) as client:
        with contextlib.suppress(websockets.ConnectionClosedError):
            await client.send("x" * 3_000_000)
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.rcvd.code == 4013


async def test_the_tornado_client(server: Server) -> None:
    client = await tornado.websocket.websocket_connect(f"ws://127.0.0.1:{server.port}")
    for text in ("", "grüß", "x" * 65_536):
        await client.write_message(text)
        assert await client.read_message() == text
    server.sink.link.close(4102, "draining")
    assert await client.read_message() is None
    assert (client.close_code, client.close_reason) == (4102, "draining")
    client.close()
    assert await server.sink.closed == (4102, "")


async def test_through_tls_bytes_go_by_the_stream(
    io_loop: IOLoop, tls_context: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    ours, theirs = tls_context
    server = Server(ours)
    async with websockets.connect(
        f"wss://localhost:{server.port}", ssl=theirs, max_size=None, max_queue=None, **PATIENT
    ) as client:
        await client.send("hello")
        assert await client.recv() == "hello"
        link = server.sink.link
        for n in range(300):
            link.send(wire.text_frame(b"%05d" % n + b"x" * 20_000))
        assert link.buffered() > 0
        for n in range(300):
            assert await client.recv() == f"{n:05d}" + "x" * 20_000
        await client.send("x" * (LIMIT + 1))
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.rcvd.code == 4013
    await server.sink.closed
    server.http.stop()
