"""One flush a device and loop tick: what a tick brings to a device leaves in one send."""

import asyncio
import logging
from typing import Protocol

from actors.counters import Counters

log = logging.getLogger("anmei.flusher")


class Flushable(Protocol):
    def flush(self) -> None:
        """Sends what waits; never raises."""


class Flusher:
    """Remembers who has something to send and flushes them all at the end of the tick."""

    __slots__ = ("_counters", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counters) -> None:
        self._loop = loop
        self._counters = counters
        self._waiting: list[Flushable] = []

    def add(self, device: Flushable) -> None:
        """`device` is flushed before the next tick; it adds itself once a tick."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(device)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._counters.flushes += len(waiting)
        for device in waiting:
            try:
                device.flush()
            except Exception:
                # A flush does not raise; if one does, it must not cost the others theirs.
                log.exception("a flush failed")
                self._counters.crashes += 1
