"""A WebSocket client on asyncio that does what a client of the protocol needs, and can be cut."""

import asyncio
import contextlib
import ssl
from urllib.parse import urlsplit

from loadtest import wire

CONNECT_SECONDS = 10.0
LONGEST_HEAD = 16_384
TEXT, CLOSE, PING = 0x1, 0x8, 0x9


class Refused(Exception):
    """The handshake was answered with another status; `retry_after` in seconds, where given."""

    def __init__(self, status: int, retry_after: float | None) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.retry_after = retry_after


class Closed(Exception):
    """The connection ended; `code` is the server's, or 1006 where it broke."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class WebSocket:
    """An open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, url: str, path: str, token: str) -> "WebSocket":
        """Connect to `path` of a server (`http://…` or `https://…`).

        Raises Refused, and OSError or TimeoutError where there is nobody.
        """
        parts = urlsplit(url)
        secure = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if secure else 80)
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
            try:
                request = wire.upgrade_request(path, parts.netloc)
                writer.write(request[:-2] + f"Authorization: Bearer {token}\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                writer.transport.abort()
                raise ConnectionError(f"no answer to the handshake: {error}") from None
            except BaseException:
                writer.transport.abort()
                raise
        status = int(head[0].split()[1])
        if status != 101:
            writer.transport.abort()
            fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
            after = fields.get("retry-after", "")
            raise Refused(status, float(after) if after.isdigit() else None)
        return cls(reader, writer)

    def send(self, text: str) -> None:
        """Hand a text frame to the connection; never waits, never raises."""
        if not self._writer.transport.is_closing():
            self._writer.write(wire.text_frame(text.encode()))

    async def receive(self) -> bytes:
        """The next text. Raises Closed."""
        while True:
            try:
                opcode, payload = await self._frame()
            except (OSError, asyncio.IncompleteReadError):
                raise Closed(1006) from None
            if opcode == TEXT:
                return payload
            if opcode == PING and not self._writer.transport.is_closing():
                self._writer.write(wire.PONG)
            elif opcode == CLOSE:
                raise Closed(int.from_bytes(payload[:2], "big") if payload else 1005)

    def abort(self) -> None:
        """End it at once, without a word."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Leave in order."""
        with contextlib.suppress(OSError):
            if not self._writer.transport.is_closing():
                self._writer.write(wire.CLOSE)
                await self._writer.drain()
        self._writer.close()

    async def _frame(self) -> tuple[int, bytes]:
        # Only what is asked for in one go is lost by a cancelled wait: a frame is taken whole.
        while (frame := wire.next_frame(self._data)) is None:
            data = await self._reader.read(65_536)
            if not data:
                raise ConnectionError("end of stream")
            self._data += data
        payload, end = frame
        opcode = self._data[0] & 0x0F
        self._data = self._data[end:]
        return opcode, payload

    _data = b""
