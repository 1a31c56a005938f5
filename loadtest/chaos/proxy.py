"""A proxy between a node and one of the servers it depends on, which does what networks do.

It listens on a unix socket and hands everything on to another.
"""

import asyncio
import contextlib
from pathlib import Path


class Proxy:
    """Use `start` and `close`; the rest may be called at any time."""

    def __init__(self, listen: Path, target: Path) -> None:
        self.listen = listen
        self._target = target
        #: Seconds that every piece waits, either way.
        self.delay = 0.0
        self._open = asyncio.Event()
        self._open.set()
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._trap: tuple[bytes, asyncio.Event] | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._accepted, self.listen)
        self.listen.chmod(0o777)

    async def close(self) -> None:
        await self._refuse()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection; new ones are taken."""
        for pair in list(self._links):
            for writer in pair:
                writer.transport.abort()

    async def partition(self, seconds: float) -> None:
        """Break every connection and take no new ones for a while."""
        await self._refuse()
        self.cut()
        await asyncio.sleep(seconds)
        await self.start()

    async def swallow(self, seconds: float) -> None:
        """For a while nothing passes, and nobody is told; then the connections break."""
        self._open.clear()
        await asyncio.sleep(seconds)
        self.cut()
        self._open.set()

    async def slow(self, seconds: float, delay: float) -> None:
        """For a while every piece waits."""
        self.delay = delay
        await asyncio.sleep(seconds)
        self.delay = 0.0

    async def cut_answer(self, pattern: bytes, seconds: float) -> bool:
        """Once: hand on the piece that holds `pattern`, and cut the connection when its answer
        comes, so that the asker cannot know what became of it. False: nobody sent such a piece."""
        sprung = asyncio.Event()
        self._trap = pattern, sprung
        try:
            async with asyncio.timeout(seconds):
                await sprung.wait()
        except TimeoutError:
            return False
        finally:
            self._trap = None
        return True

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self.listen.unlink(missing_ok=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._open.wait()
            answers, target = await asyncio.open_unix_connection(self._target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        doomed: list[asyncio.Event] = []
        self._links.add((writer, target))
        try:
            await asyncio.gather(
                self._pump(reader, target, doomed, up=True),
                self._pump(answers, writer, doomed, up=False),
            )
        except asyncio.CancelledError:
            pass  # asyncio would report it as an error of this task
        finally:
            self._links.discard((writer, target))
            writer.transport.abort()
            target.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        doomed: list[asyncio.Event],
        *,
        up: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65_536):
                await self._open.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if up and self._trap is not None and self._trap[0] in piece:
                    doomed.append(self._trap[1])
                    self._trap = None
                elif not up and doomed:
                    doomed[0].set()
                    break
                writer.write(piece)
                await writer.drain()
        # Either end being gone is the end of both.
        writer.transport.abort()
