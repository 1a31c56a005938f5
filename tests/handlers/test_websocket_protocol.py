"""The protocol layer over real sockets, against a real Tornado server with an echoing sink."""

import asyncio
import contextlib
import gc
import random
import socket
import ssl
import struct
import subprocess
import time
import tracemalloc
import weakref
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tornado.websocket
import websockets
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application
from tornado.websocket import WebSocketHandler
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from anmei import wire
from anmei.close_codes import CloseCode
from anmei.frame_parser import unmask
from handlers.websocket_protocol import CLOSE_TIMEOUT, Link

LIMIT = 262_144
#: Seconds that a machine which is busy with other things may add to a timeout.
SLACK = 30
#: The same for clients that come with timeouts of their own.
PATIENT: dict[str, Any] = {"open_timeout": SLACK, "close_timeout": SLACK}


class EchoSink:
    """Sends back what comes, and notes everything."""

    def __init__(self) -> None:
        self.link: Link
        self.texts: list[bytes] = []
        self.binaries = 0
        self.drains = 0
        #: Frames that wait to be sent together with more.
        self.kept = b""
        self.ends: list[tuple[int, str]] = []
        self.closed: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self.drained = asyncio.Event()
        self.heard = asyncio.Event()
        #: What to do with a text; echo when None.
        self.answer: Callable[[bytes], Awaitable[None] | None] | None = None

    def on_text(self, data: bytes) -> Awaitable[None] | None:
        assert not self.ends
        self.texts.append(data)
        self.heard.set()
        if self.answer is not None:
            return self.answer(data)
        self.link.send(wire.deflate_frame(data) if self.link.deflate else wire.text_frame(data))
        return None

    def on_binary(self) -> None:
        self.binaries += 1

    def on_control(self) -> None:
        if self.kept:
            self.link.send(self.kept)
            self.kept = b""

    def on_drain(self) -> None:
        self.drains += 1
        self.drained.set()

    def on_closed(self, code: int, reason: str) -> None:
        self.ends.append((code, reason))
        if not self.closed.done():
            self.closed.set_result((code, reason))


class Handler(WebSocketHandler):
    def initialize(self, server: "Server") -> None:
        self.server = server

    def get_websocket_protocol(self) -> Link:
        sink = EchoSink()
        sink.link = Link(self, sink, limit=LIMIT, farewell=self.server.farewell)
        self.server.sinks.append(sink)
        return sink.link

    def get_compression_options(self) -> dict[str, Any] | None:
        return {} if self.server.deflate else None

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "anmei.v1" if "anmei.v1" in subprotocols else None

    def open(self) -> Awaitable[None] | None:
        return self.server.on_open(self.server.sinks[-1]) if self.server.on_open else None

    def on_close(self) -> None:
        self.server.closes += 1


def listen() -> socket.socket:
    """On a port below those that the kernel gives to outgoing connections."""
    while True:
        listener = socket.socket()
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
            listener.listen(128)  # which fails where two have bound the same port at once
        except OSError:
            listener.close()
        else:
            return listener


class Server:
    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.sinks: list[EchoSink] = []
        self.deflate = False
        self.closes = 0
        self.farewell: Callable[[int, str], bytes] | None = None
        self.on_open: Callable[[EchoSink], Awaitable[None] | None] | None = None
        self.http = HTTPServer(Application([("/", Handler, {"server": self})]), ssl_options=tls)
        listener = listen()
        self.port = listener.getsockname()[1]
        self.http.add_socket(listener)

    @property
    def sink(self) -> EchoSink:
        return self.sinks[-1]

    @contextlib.asynccontextmanager
    async def peer(self, **options: Any) -> AsyncIterator["Peer"]:
        peer = await Peer.connect(self, **options)
        try:
            yield peer
        finally:
            peer.sock.close()


class Peer:
    """A client that may break every rule."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        self.received = b""
        self.response = b""

    @classmethod
    async def connect(
        cls,
        server: Server,
        headers: dict[str, str] | None = None,
        receive_buffer: int = 0,
        behind: bytes = b"",
    ) -> "Peer":
        """`behind` is sent together with the handshake."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer = cls(sock)
        await peer.loop.sock_connect(sock, ("127.0.0.1", server.port))
        fields = {
            "Host": "localhost",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            **(headers or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await peer.send(f"GET / HTTP/1.1\r\n{lines}\r\n".encode() + behind)
        while b"\r\n\r\n" not in peer.received:
            await peer._more()
        peer.response, _, peer.received = peer.received.partition(b"\r\n\r\n")
        return peer

    def header(self, name: str) -> str | None:
        for line in self.response.decode().split("\r\n"):
            if line.lower().startswith(name.lower() + ": "):
                return line[len(name) + 2 :]
        return None

    async def _more(self) -> None:
        data = await asyncio.wait_for(self.loop.sock_recv(self.sock, 65_536), 30)
        if not data:
            raise EOFError
        self.received += data

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.sock, data)

    async def receive(self) -> tuple[int, bytes]:
        """First byte and payload of the next frame."""
        while True:
            if len(self.received) >= 2:
                size, head = self.received[1], 2
                assert size < 128, "a server frame must not be masked"
                if size >= 126:
                    head += 2 if size == 126 else 8
                    size = int.from_bytes(self.received[2:head], "big")
                if len(self.received) >= head + size:
                    frame = self.received[: head + size]
                    self.received = self.received[head + size :]
                    return frame[0], frame[head:]
            await self._more()

    async def close_code(self) -> int:
        """Skip to the close frame; afterwards the server must end the connection."""
        while True:
            first, payload = await self.receive()
            if first == 0x88:
                break
        with contextlib.suppress(ConnectionResetError):
            await self.ended()
        return int.from_bytes(payload[:2], "big") if payload else 1005

    async def ended(self) -> None:
        while True:
            try:
                await self._more()
            except EOFError:
                return


def frame(first: int, payload: bytes = b"", mask: bytes | None = b"\x11\x22\x33\x44") -> bytes:
    size = len(payload)
    bit = 0x80 if mask else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 65_536:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    return head + mask + unmask(mask, payload) if mask else head + payload


@pytest.fixture
def server(io_loop: IOLoop) -> Iterator[Server]:
    server = Server()
    yield server
    server.http.stop()
    for sink in server.sinks:
        sink.link.on_connection_close()  # where the test ended before the peer's end was seen


@pytest.fixture
def tls_context(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For the server, and for a client that trusts it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + ["-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext"]
        + ["subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate, key)
    return ours, ssl.create_default_context(cafile=certificate)


# Messages


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


# Rules (the rows 7 to 10 of the attacks)

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


# The handshake (row 4)


@pytest.mark.parametrize(
    "key", ["abc", "", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25j!Q==", "A" * 24]
)
async def test_a_key_that_is_not_16_bytes_is_refused(
    server: Server, key: str, expect_log: Callable[[str], None]
) -> None:
    expect_log("400 GET /")
    async with server.peer(headers={"Sec-WebSocket-Key": key}) as peer:
        assert peer.response.startswith(b"HTTP/1.1 400 ")
    assert server.sink.ends == []


async def test_another_version_is_told_ours(
    server: Server, expect_log: Callable[[str], None]
) -> None:
    expect_log("426 GET /")
    async with server.peer(headers={"Sec-WebSocket-Version": "8"}) as peer:
        assert peer.response.startswith(b"HTTP/1.1 426 ")
        assert peer.header("Sec-WebSocket-Version") == "13"
        assert (peer.header("Upgrade"), peer.header("Connection")) == ("websocket", "Upgrade")


@pytest.mark.parametrize("name", ["Protocol", "Extensions"])
@pytest.mark.parametrize("value", [",", " ", ", ", ";", '="', "a,"])
async def test_a_header_of_50_kb_costs_little(server: Server, name: str, value: str) -> None:
    server.deflate = True
    async with server.peer():
        pass
    cpu = time.process_time()
    text = "x" + value * (50_000 // len(value)) + "x"
    async with server.peer(headers={f"Sec-WebSocket-{name}": text}) as peer:
        assert time.process_time() - cpu < 0.5
        assert peer.response.startswith(b"HTTP/1.1 101 ")


async def test_a_subprotocol_is_selected(server: Server) -> None:
    headers = {"Sec-WebSocket-Protocol": "x, anmei.v1, bearer.abc"}
    async with server.peer(headers=headers) as peer:
        assert peer.header("Sec-WebSocket-Protocol") == "anmei.v1"
        assert server.sink.link.selected_subprotocol == "anmei.v1"


# Writing


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


async def stuff(link: Link, least: int = 1_000_000) -> int:
    """Send until at least so many bytes wait. Returns the number of frames."""
    sent = 0
    while link.buffered() < least:
        link.send(wire.text_frame(b"x" * 60_000))
        sent += 1
    return sent


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


# Failures of the sink


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


# permessage-deflate


async def test_compression_without_context_takeover_with_a_real_client(server: Server) -> None:
    server.deflate = True
    async with websockets.connect(
        f"ws://127.0.0.1:{server.port}", extensions=[ClientPerMessageDeflateFactory()], **PATIENT
    ) as client:
        (extension,) = client.protocol.extensions
        assert extension.remote_no_context_takeover
        assert extension.local_no_context_takeover
        for text in ("x" * 10_000, "", "äöü" * 1_000, "a"):
            await client.send(text)
            assert await client.recv() == text
        await client.send(["x" * 1_000, "y" * 1_000])
        assert await client.recv() == "x" * 1_000 + "y" * 1_000
    assert await server.sink.closed == (1000, "")


@pytest.fixture
def bomb() -> bytes:
    """Made here, since it takes its time and the loop must not stand still for it."""
    pump = zlib.compressobj(9, zlib.DEFLATED, -15)
    made = b"".join(pump.compress(bytes(1_000_000)) for _ in range(200))
    return made + pump.flush(zlib.Z_SYNC_FLUSH)[:-4]


async def test_a_deflate_bomb_is_refused_with_bounded_memory(server: Server, bomb: bytes) -> None:
    server.deflate = True
    assert 150_000 < len(bomb) < LIMIT
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    tracemalloc.start()
    try:
        async with contextlib.AsyncExitStack() as stack:
            peers = [
                await stack.enter_async_context(server.peer(headers=headers)) for _ in range(50)
            ]
            bombs = frame(0xC2, bomb)
            await asyncio.gather(*(peer.send(bombs) for peer in peers))
            assert await asyncio.gather(*(peer.close_code() for peer in peers)) == [4013] * 50
        # At most the compressed bytes of each, and one of them inflated up to the limit.
        assert tracemalloc.get_traced_memory()[1] < 50 * 300_000 + 10 * LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("offer", "taken"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ('permessage-deflate; server_max_window_bits="15"; client_max_window_bits=9', True),
        ("x-unknown, permessage-deflate; server_max_window_bits=9, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits=9", False),
        ("permessage-deflate; client_max_window_bits=16", False),
        ("permessage-deflate; server_no_context_takeover=1", False),
        ("permessage-deflate; unknown", False),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", False),
        ("", False),
    ],
)
async def test_only_offers_that_suit_are_taken(server: Server, offer: str, taken: bool) -> None:
    server.deflate = True
    async with server.peer(headers={"Sec-WebSocket-Extensions": offer}) as peer:
        answer = peer.header("Sec-WebSocket-Extensions")
        assert (answer is not None) is taken
        # Who asks for a limit is told that it is kept, as RFC 7692, 7.1.2.1, wants it.
        assert ("; server_max_window_bits=15" in (answer or "")) is (
            'server_max_window_bits="15"' in offer
        )
        assert server.sink.link.deflate is taken


# Other clients, and TLS


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
