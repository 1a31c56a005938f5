"""When devices are sent to: at the end of a loop tick, and the busy ones a few times a second.

One `send` costs the kernel more than everything else that a delivery takes, so what comes for one
device close together leaves in one. What a tick brings always does. A device that is sent to often
is paced besides (docs/decisions/0009-write-pacing.md): what comes for it waits a moment for what
comes next. A device that is sent to seldom is never kept waiting.
"""

import asyncio
import logging
import math
from collections.abc import Iterable
from typing import Protocol

from actors.counters import Counters

SLOTS = 10  # that the longest wait is divided into, or more; those of one are flushed together
BURST = 10  # sends to a device at once, before it is paced
#: Bytes with which one waits no longer: a `send` that carries as much cannot be made much cheaper.
ENOUGH = 4_096

log = logging.getLogger("anmei.flusher")


class Flushable(Protocol):
    #: What it has to send, and how many bytes wait here or behind `flush`.
    pending: list[bytes]
    queued: int
    #: The slot from which it may be sent to; kept by the flusher.
    turn: int
    #: The slot in which it is flushed, for one that is kept waiting. Otherwise 0: `flush` sets it.
    parked: int
    #: Whether it is flushed at the end of the tick, its turn or not. `flush` sets it to False.
    urgent: bool

    def flush(self) -> None:
        """Sends what waits; never raises."""


class Flusher:
    """Remembers who has something to send, and flushes them.

    A device may be sent to `rate` times a second, and BURST times at once (GCRA: one number a
    device). What comes for it sooner waits for its turn, `delay` seconds at most. With a rate or a
    delay of 0 nobody waits. Time is counted in slots, and one timer serves all who wait.
    """

    __slots__ = (
        "_counters", "_interval", "_longest", "_loop", "_parked", "_per_second", "_slack", "_timer",
        "_waiting",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        counters: Counters,
        rate: float = 0,
        delay: float = 0,
    ) -> None:
        self._loop = loop
        self._counters = counters
        self._waiting: list[Flushable] = []
        #: Those who wait, by the slot until which they do, and the slot since which the first does.
        self._parked: dict[int, tuple[int, list[Flushable]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        # In slots, a whole number of which is from one turn to the next. With an interval of 0
        # every turn has come.
        self._interval = math.ceil(SLOTS / delay / rate) if rate and delay else 0
        self._per_second = self._interval * rate or 1.0
        self._longest = int(delay * self._per_second + 0.01)
        self._slack = (BURST - 1) * self._interval

    def add(self, device: Flushable) -> None:
        """`device` has something to send: it adds itself once until it is flushed."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(device)

    def add_all(self, devices: Iterable[Flushable]) -> None:
        """`add` for several."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting += devices

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        slot = self.now()
        interval, least, latest = self._interval, slot - self._slack, slot + self._longest
        until = 0
        others: list[Flushable] = []
        for device in waiting:
            turn = device.turn
            if turn > slot:
                if not device.urgent and device.queued <= ENOUGH:
                    if turn > latest:
                        turn = latest
                    if turn != until:  # seldom: whoever was sent to together waits together
                        others, until = self._those_until(turn, slot), turn
                    device.parked = turn
                    others.append(device)
                    continue
                turn = slot
            elif turn < least:
                turn = least
            device.turn = turn + interval
            self._send(device)

    def _send(self, device: Flushable) -> None:
        self._counters.flushes += 1
        try:
            device.flush()
        except Exception:
            # A flush does not raise; if one does, it must not cost the others theirs.
            log.exception("a flush failed")
            self._counters.crashes += 1

    def now(self) -> int:
        """The slot that it is now. The loop calls what is due a hair early."""
        return int(self._loop.time() * self._per_second + 0.01)

    def _those_until(self, slot: int, now: int) -> list[Flushable]:
        """Those who are kept waiting until then."""
        if slot not in self._parked:
            self._parked[slot] = now, []
            self._set_timer()
        return self._parked[slot][1]

    def _set_timer(self) -> None:
        """For the first slot that somebody waits for."""
        when = min(self._parked) / self._per_second
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        slot = self.now()
        # The next turn is counted from now, however late it is: else it would come too soon.
        next_turn = slot + self._interval
        for number in sorted(number for number in self._parked if number <= slot):
            since, devices = self._parked.pop(number)
            # Where nothing has joined what waited long, nobody gains by waiting: for a while it
            # does not.
            alone = next_turn - self._slack if number - since > self._longest // 2 else next_turn
            for device in devices:
                # One that was flushed meanwhile may wait for a later slot, or for none.
                if device.parked == number:
                    device.turn = next_turn if len(device.pending) > 1 else alone
                    self._send(device)
        if self._parked:
            self._set_timer()
