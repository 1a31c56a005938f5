"""A plain socket on the event loop, with nothing between.

Tornado's stream costs more than the WebSocket protocol on top of it: a future, a task's wake and a
dozen calls for each read, and as many for each write. What it would do for us is here, in the few
lines that an upgraded connection needs (docs/decisions/0003-straight-to-the-socket.md).
"""

import asyncio
import socket
from collections import deque
from typing import TYPE_CHECKING

from tornado.iostream import IOStream

if TYPE_CHECKING:
    from handlers.conduit import Owner

READ_BYTES = 65_536
#: What is handed to the kernel in one attempt to empty the queue.
MOST_JOINED = 262_144


class SocketConduit:
    """The socket of `stream`, taken over."""

    __slots__ = (
        "_closed", "_early", "_loop", "_owner", "_paused", "_queue", "_sealed", "_send", "_socket",
        "waiting",
    )  # fmt: skip

    def __init__(self, stream: IOStream) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket = stream.socket
        self._send = self._socket.send
        self._owner: Owner | None = None
        self._queue: deque[bytes | memoryview] = deque()
        self._closed = self._sealed = stream.closed()
        self._paused = True
        #: What came together with the request, before the connection was ours.
        self._early = b""
        self.waiting = 0
        if not self._closed:
            self._early = bytes(stream._read_buffer)
            stream.io_loop.remove_handler(stream.fileno())
            # The stream must not close what is no longer its own.
            stream.socket = None  # type: ignore[assignment]
            stream._closed = True
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self, owner: "Owner") -> None:
        self._owner = owner
        if self._closed:
            self._loop.call_soon(self._lost)
        elif self._early:
            self._loop.call_soon(self._hand_on)
        else:
            self.resume()

    def write(self, data: bytes) -> int:
        if self._sealed:
            return 0
        if self.waiting:
            self._queue.append(data)
            self.waiting += len(data)
            return self.waiting
        send = self._send  # see Device.flush
        try:
            sent = send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return 0
        rest = len(data) - sent
        if rest:
            # A view, so that a frame for a thousand slow peers is in memory once.
            self._queue.append(memoryview(data)[sent:])
            self.waiting = rest
            self._loop.add_writer(self._socket, self._on_writable)
        return rest

    def write_last(self, data: bytes) -> None:
        self.write(data)
        self._sealed = True

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._loop.remove_reader(self._socket)

    def resume(self) -> None:
        if self._paused and not self._closed:
            self._paused = False
            self._loop.add_reader(self._socket, self._on_readable)

    def half_close(self) -> None:
        if not self._closed:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.close()

    def close(self) -> None:
        if self._closed:
            return
        self.pause()
        if self.waiting:
            self._loop.remove_writer(self._socket)
        self._closed = self._sealed = True
        self._queue.clear()
        self.waiting = 0
        self._socket.close()
        # In a turn of its own: nobody is called back from inside a call.
        self._loop.call_soon(self._lost)

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif self._owner is not None:
            self._owner.on_bytes(data)

    def _hand_on(self) -> None:
        """What came early, and from here on what comes."""
        early, self._early = self._early, b""
        if self._owner is not None and not self._closed:
            self.resume()
            self._owner.on_bytes(early)

    def _on_writable(self) -> None:
        queue = self._queue
        while queue:
            data = queue[0]
            if len(queue) > 1 and len(data) < MOST_JOINED:
                data = self._joined()
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.close()
                return
            self.waiting -= sent
            if sent < len(data):
                queue[0] = memoryview(data)[sent:]
                return
            queue.popleft()
        self._loop.remove_writer(self._socket)
        if self._owner is not None:
            self._owner.on_written()

    def _joined(self) -> bytes:
        """The first entries of the queue as one, which takes their place."""
        size, parts = 0, []
        while self._queue and size < MOST_JOINED:
            part = self._queue.popleft()
            parts.append(part)
            size += len(part)
        data = b"".join(parts)
        self._queue.appendleft(data)
        return data

    def _lost(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.on_lost()
