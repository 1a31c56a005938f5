"""A proxy that stands between two parts and does to them what networks do.

It runs in a thread of its own, so that tests with and without an event loop use it alike and a
blocked test never stalls the traffic. Times are in seconds.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

Direction = Literal["up", "down"]
Address = Path | int

BOTH: tuple[Direction, ...] = ("up", "down")


class Link:
    """One connection through the proxy: from a client up to the target, and down again."""

    def __init__(self, client: asyncio.StreamWriter, target: asyncio.StreamWriter) -> None:
        self.client = client
        self.target = target
        #: Set when the next thing the target says is to be swallowed and the link cut.
        self.doomed: Future[None] | None = None

    def cut(self) -> None:
        for writer in (self.client, self.target):
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.family == socket.AF_INET and raw.fileno() >= 0:
                # A reset, not an orderly end.
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()


class Proxy:
    """Listens on a TCP port of its own, or on the unix socket `listen`, and hands everything on to
    `target`: a TCP port of this machine, or the path of a unix socket."""

    def __init__(self, target: Address, listen: Path | None = None) -> None:
        self.target = target
        self.socket = listen
        self.port = 0
        #: Seconds that each piece waits before it is handed on.
        self.delay: dict[Direction, float] = {"up": 0.0, "down": 0.0}
        #: Hand bytes on one at a time.
        self.dribble: dict[Direction, bool] = {"up": False, "down": False}
        #: Bytes handed on so far.
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trap: tuple[bytes, bytes, bool, Future[None]] | None = None
        self._then_refuse = False
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._gates: dict[Direction, asyncio.Event] = {name: asyncio.Event() for name in BOTH}
        for gate in self._gates.values():
            gate.set()
        self.accept()

    def pause(self, *directions: Direction) -> None:
        """Stall: connections stay open and nothing passes; one way only if one is named."""
        for name in directions or BOTH:
            self._now(self._gates[name].clear)

    def resume(self) -> None:
        """Let everything pass again, and first what was held back."""
        for gate in self._gates.values():
            self._now(gate.set)

    def cut(self) -> None:
        """Break every connection; new ones are taken."""
        self._now(self._cut)

    def refuse(self) -> None:
        """Break every connection and take no new ones, as if the target were down."""
        self._run(self._stop_listening())
        self.cut()

    def accept(self) -> None:
        """Take connections, at the same address as before."""
        self._run(self._listen())

    def cut_after(
        self, pattern: bytes, *, behind: bytes = b"", then_refuse: bool = False
    ) -> Future[None]:
        """Once: hand on the piece that holds `pattern`, on a connection on which `behind` has
        passed, to the target, wait for its answer, swallow it and cut the connection. So the
        target has done what was asked, and the asker cannot know; with `then_refuse` it cannot ask
        again either. What comes back is done when that has happened."""
        self._then_refuse = then_refuse
        return self._set_trap(pattern, behind, forward=True)

    def cut_before(self, pattern: bytes) -> Future[None]:
        """Once: cut the connection in place of handing on the piece that holds `pattern`."""
        return self._set_trap(pattern, b"", forward=False)

    @property
    def connections(self) -> int:
        return len(self._links)

    def close(self) -> None:
        """End everything, the thread too."""
        if self._loop.is_closed():
            return
        self._run(self._close())
        self._now(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def _set_trap(self, pattern: bytes, behind: bytes, *, forward: bool) -> Future[None]:
        sprung: Future[None] = Future()
        self._trap = (pattern, behind, forward, sprung)
        return sprung

    def _now(self, what: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(what)

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    def _cut(self) -> None:
        for link in list(self._links):
            link.cut()

    async def _listen(self) -> None:
        if self._server is not None:
            return
        if self.socket is not None:
            self._server = await asyncio.start_unix_server(self._accepted, self.socket)
        else:
            self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            if self.socket is not None:
                self.socket.unlink(missing_ok=True)

    async def _close(self) -> None:
        await self._stop_listening()
        self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self.target, int):
                answers, target = await asyncio.open_connection("127.0.0.1", self.target)
            else:
                answers, target = await asyncio.open_unix_connection(self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, target)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(reader, target, "up", link), self._pump(answers, writer, "down", link)
            )
        finally:
            self._links.discard(link)
            for end in (writer, target):
                end.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        link: Link,
    ) -> None:
        tail = b""
        armed: Future[None] | None = None
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                await self._gates[direction].wait()
                if self.delay[direction]:
                    await asyncio.sleep(self.delay[direction])
                if direction == "down" and link.doomed is not None:
                    if self._then_refuse:
                        await self._stop_listening()
                        self._cut()
                    link.cut()
                    link.doomed.set_result(None)
                    return
                if direction == "up" and self._trap is not None:
                    pattern, behind, forward, sprung = self._trap
                    seen = tail + piece
                    if armed is not sprung and behind in seen:
                        armed, seen = sprung, seen[seen.index(behind) :]
                    if armed is sprung and pattern in seen:
                        self._trap = None
                        if not forward:
                            link.cut()
                            sprung.set_result(None)
                            return
                        link.doomed = sprung
                    tail = seen[-max(len(pattern), len(behind)) :]
                await self._hand_on(piece, writer, direction)
            if writer.can_write_eof():
                writer.write_eof()

    async def _hand_on(
        self, piece: bytes, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        size = 1 if self.dribble[direction] else len(piece)
        for start in range(0, len(piece), size):
            self.passed[direction] += size
            writer.write(piece[start : start + size])
            await writer.drain()
            if size == 1:
                # A turn of the loop between two bytes, or the kernel would join them again.
                await asyncio.sleep(0)
