"""A connection through Tornado's stream: for TLS, whose records are not the bytes of the socket."""

import asyncio
from typing import TYPE_CHECKING

from tornado.iostream import IOStream, StreamBufferFullError, StreamClosedError

if TYPE_CHECKING:
    from handlers.conduit import Owner

READ_BYTES = 65_536


class StreamConduit:
    """Reads and writes through `stream`."""

    def __init__(self, stream: IOStream) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._owner: Owner | None = None
        self._reading: asyncio.Task[None] | None = None
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._sealed = False

    @property
    def waiting(self) -> int:
        return len(self._stream._write_buffer) if self._stream.writing() else 0

    def start(self, owner: "Owner") -> None:
        self._owner = owner
        self._stream.set_close_callback(self._on_closed)
        if self._stream.closed():
            self._loop.call_soon(self._on_closed)
        else:
            self._stream.set_nodelay(True)
            self._reading = self._loop.create_task(self._read())

    def write(self, data: bytes) -> int:
        if self._sealed or self._stream.closed():
            return 0
        try:
            written = self._stream.write(data)
        except StreamBufferFullError:
            self.close()
            return 0
        if not self._stream.writing():
            return 0
        written.add_done_callback(self._on_written)
        return self.waiting

    def write_last(self, data: bytes) -> None:
        self.write(data)
        self._sealed = True

    def pause(self) -> None:
        self._may_read.clear()

    def resume(self) -> None:
        self._may_read.set()

    def half_close(self) -> None:
        """TLS has no half of a connection that could be closed alone."""

    def close(self) -> None:
        self._stream.close()

    async def _read(self) -> None:
        try:
            while True:
                await self._may_read.wait()
                data = await self._stream.read_bytes(READ_BYTES, partial=True)
                if self._owner is not None:
                    self._owner.on_bytes(data)
                # The next bytes may be there already; others have their turn first.
                await asyncio.sleep(0)
        except StreamClosedError:
            pass

    def _on_written(self, written: "asyncio.Future[None]") -> None:
        lost = written.cancelled() or written.exception() is not None
        if not lost and self._owner is not None and not self._stream.writing():
            self._owner.on_written()

    def _on_closed(self) -> None:
        # What is waiting to read ends by itself, as the stream is closed.
        self._may_read.set()
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.on_lost()
