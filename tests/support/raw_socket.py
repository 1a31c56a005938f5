"""A WebSocket client made of bytes, for everything that no good client would send."""

import asyncio
import base64
import contextlib
import os
import socket
import struct
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class RawFrame(NamedTuple):
    """A frame as it stood on the wire."""

    fin: bool
    rsv: int
    opcode: int
    payload: bytes


class RawSocket:
    """One TCP connection. Nothing is checked on the way out, and nothing answered by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}

    @classmethod
    async def dial(cls, port: int, *, receive_buffer: int | None = None) -> "RawSocket":
        """Connect without a handshake. A small `receive_buffer` (in bytes) makes a reader that
        stalls its sender soon."""
        raw = socket.socket()
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=raw, limit=4 * 1024 * 1024))

    @classmethod
    async def connect(
        cls,
        port: int,
        path: str = "/ws/chat",
        headers: dict[str, str] | None = None,
        *,
        receive_buffer: int | None = None,
    ) -> "RawSocket":
        """Connect and shake hands; `status` and `headers` hold the answer."""
        raw = await cls.dial(port, receive_buffer=receive_buffer)
        await raw.shake_hands(path, {"Host": f"127.0.0.1:{port}", **(headers or {})})
        return raw

    async def shake_hands(self, path: str, headers: dict[str, str]) -> int:
        """Send the upgrade request and read the answer; the status."""
        sent = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **headers,
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        await self.send_bytes("\r\n".join([*lines, "", ""]).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.status = int(head[0].split()[1])
        self.headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        return self.status

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def send_frame(
        self,
        opcode: int,
        payload: bytes = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        mask: bytes | None = b"\x37\xfa\x21\x3d",
        claimed_length: int | None = None,
    ) -> None:
        """Send one frame. `mask=None` sends it bare; `claimed_length` lies about its length."""
        await self.send_bytes(
            make_frame(opcode, payload, fin=fin, rsv=rsv, mask=mask, claimed_length=claimed_length)
        )

    async def read_frame(self, timeout: float = 30) -> RawFrame | None:
        """The next frame, or None when the connection has ended."""
        try:
            async with asyncio.timeout(timeout):
                first, second = await self._reader.readexactly(2)
                length = second & 0x7F
                if length == 126:
                    (length,) = struct.unpack("!H", await self._reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack("!Q", await self._reader.readexactly(8))
                payload = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        assert not second & 0x80, "a server must not mask its frames"
        return RawFrame(bool(first & 0x80), first >> 4 & 0x7, first & 0xF, payload)

    async def read_close(self, timeout: float = 30) -> tuple[int | None, str] | None:
        """Read up to the close frame: its code and reason. None: cut without one."""
        async with asyncio.timeout(timeout):
            while (frame := await self.read_frame(timeout)) is not None:
                if frame.opcode == CLOSE:
                    if not frame.payload:
                        return None, ""
                    (code,) = struct.unpack("!H", frame.payload[:2])
                    return code, frame.payload[2:].decode()
        return None

    async def read_end(self, timeout: float = 30) -> bytes:
        """Read until the server ends the TCP connection; the bytes that still came."""
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(-1)
        except ConnectionError:
            return b""

    def stop_reading(self) -> None:
        """Take nothing more from the kernel, so that the server's writes stall."""
        self._writer.transport.pause_reading()

    def go_on_reading(self) -> None:
        self._writer.transport.resume_reading()

    async def half_close(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self._writer.write_eof()

    async def reset(self) -> None:
        """End with a TCP reset in place of an orderly end."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.close()

    async def close(self) -> None:
        """End the TCP connection without a close frame."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def make_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    claimed_length: int | None = None,
) -> bytes:
    """The bytes of one frame, right or wrong."""
    length = len(payload) if claimed_length is None else claimed_length
    masked = 0x80 if mask is not None else 0
    if length < 126:
        size = bytes([masked | length])
    elif length < 65_536:
        size = struct.pack("!BH", masked | 126, length)
    else:
        size = struct.pack("!BQ", masked | 127, length)
    if mask is not None:
        payload = bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload))
    return bytes([(0x80 if fin else 0) | rsv << 4 | opcode]) + size + (mask or b"") + payload
