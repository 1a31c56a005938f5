"""Bundle: what many devices of one conversation wait for together, kept once for all of them.

In a conversation with a thousand devices an event that waits for their turn (see the flusher) would
be noted a thousand times, and what that costs is memory that is not in any cache. So devices that
wait for the same events, and for nothing else, are kept as one: an event is one append, and their
turn is one. Whatever else happens to a device, it leaves first, and takes along what waits.
"""

import logging
from typing import TYPE_CHECKING

from actors.counters import Counters
from actors.flusher import ENOUGH, Flusher

if TYPE_CHECKING:
    from actors.device import Device

#: With fewer devices a conversation has none: it would be joined and left more often than used.
FEW = 16

log = logging.getLogger("anmei.bundle")


class Bundle:
    """Devices of one conversation that have the same frames to wait for; Flushable as one is.

    A device joins while the bundle is empty and so begins with its first frame. It is in one
    bundle at most, and has nothing pending of its own while it is in it.
    """

    __slots__ = (
        "_counters", "_devices", "_flusher", "_limit", "others", "parked", "pending", "queued",
        "size", "turn", "urgent",
    )  # fmt: skip

    def __init__(self, flusher: Flusher, counters: Counters) -> None:
        self._flusher = flusher
        self._counters = counters
        # With those that have left since.
        self._devices: list[Device] = []
        # What may wait for one of them.
        self._limit = 0
        #: How many are in it.
        self.size = 0
        #: The other devices of the conversation; None where that has to be found out.
        self.others: list[Device] | None = None
        self.pending: list[bytes] = []
        self.queued = 0
        self.turn = 0
        self.parked = 0
        self.urgent = False

    def now(self) -> int:
        """The slot of the flusher that it is now."""
        return self._flusher.now()

    def open(self, devices: "list[Device]", frame: bytes) -> None:
        """Puts these devices in, which have nothing else to wait for than `frame`."""
        self._limit = min(device.straight for device in devices)
        for device in devices:
            device.join(self)
        self._devices = devices
        self.size = len(devices)
        self.turn = devices[0].turn
        self._flusher.add(self)
        self.append(frame)

    def make_room(self, size: int) -> None:
        """Sends what waits and lets all go, where a frame of that size would be too much: which of
        them can take more is a question for each (see Device.push)."""
        if self.queued + size > self._limit and self.size:
            self.flush()
            self._counters.flushes += 1

    def append(self, frame: bytes) -> None:
        """One more for all who are in it."""
        self.pending.append(frame)
        self.queued += len(frame)
        if self.queued > ENOUGH:
            self.urgent = True
            if self.parked:
                self.parked = 0
                self._flusher.add(self)

    def left(self, device: "Device") -> None:
        """One that was in it has left."""
        if self.others is not None:
            self.others.append(device)
        self.size -= 1
        if not self.size:
            self._empty()

    def flush(self) -> None:
        if not self.size:
            return
        data, turn = b"".join(self.pending), self.turn
        devices, count = self._devices, self.size
        self._empty()
        for device in devices:
            if device.bundle is self:
                try:
                    device.take(data, turn)
                except Exception:
                    # Taking does not raise; if it does, it must not cost the others theirs.
                    log.exception("a flush failed")
                    self._counters.crashes += 1
        self._counters.flushes += count - 1  # the flusher counts one

    def _empty(self) -> None:
        self._devices, self.size = [], 0
        self.others = None
        self.pending, self.queued = [], 0
        self.parked, self.urgent = 0, False
