"""The owner of every task: nothing in this program runs that nobody waits for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from actors.counters import Counters

FIRST_PAUSE = 0.05  # seconds before a crashed task runs again; doubled each time
LONGEST_PAUSE = 5.0

log = logging.getLogger("anmei.supervisor")


class Supervisor:
    """Starts tasks, restarts those that crash, and stops all in the reverse order."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._tasks: dict[asyncio.Task[None], None] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Runs `run` until it returns or is cancelled; after a crash it runs again, later each
        time, since a crash loop must not take the processor from everybody else."""
        return self._own(asyncio.create_task(self._keep(name, run), name=name))

    def spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Runs `work` once. A crash is logged and counted. Nothing is begun of what is cancelled
        before its turn comes."""
        return self._own(asyncio.create_task(self._once(name, work), name=name))

    async def stop(self) -> None:
        """Cancels every task, the last started first, and waits for each."""
        for task in reversed(list(self._tasks)):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._tasks)

    def _own(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                return await run()
            except Exception:
                self._crashed(name)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _once(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:
            self._crashed(name)

    def _crashed(self, name: str) -> None:
        self._counters.crashes += 1
        log.exception("%s crashed", name)
