"""A real Tornado server with an echoing sink, and a peer on a bare socket."""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from anmei import wire
from anmei.frame_parser import unmask
from handlers.websocket_protocol import Link

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


async def stuff(link: Link, least: int = 1_000_000) -> int:
    """Send until at least so many bytes wait. Returns the number of frames."""
    sent = 0
    while link.buffered() < least:
        link.send(wire.text_frame(b"x" * 60_000))
        sent += 1
    return sent
