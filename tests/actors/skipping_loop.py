"""A loop that waits for nothing: when nobody has anything to do, its clock is put forward."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Skipping(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing will ever happen any more"
        self.now += timeout
        return super().select(0)


class SkippingLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, with timers that are due as soon as they are the next."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        #: How many timers were ever set.
        self.timers = 0
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now

    def late(self, seconds: float) -> None:
        """The loop is busy with something else for so long."""
        self._skipping.now += seconds

    def call_at(self, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(*args, **kwargs)


def skipping(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs it on such a loop."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        runner.run(coroutine)
