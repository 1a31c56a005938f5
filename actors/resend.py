"""Resend: what a live device got and did not acknowledge in time is sent to it again.

A connection that is open says nothing about the program behind it: a page that was frozen while
its socket was read may have lost what came. Nothing is written down for a delivery. Of each
conversation with news the last messages are remembered, and one sweep compares them, when their
time has come, with what the devices have acknowledged; acknowledgements are cumulative, so that is
enough. Devices that acknowledge nothing are left alone.
"""

import asyncio
import logging
from functools import partial
from typing import NamedTuple

from actors.counters import Counters
from actors.device import Device
from actors.replay import Replay
from actors.sequencer import Sequencer
from actors.supervisor import Supervisor
from anmei.close_codes import CloseCode
from anmei.commands import Change
from anmei.errors import AnmeiError
from anmei.settings import Settings
from db import queries
from db.errors import StoreUnavailable
from db.store import Store

LONGEST_SWEEP = 1.0  # seconds in which each conversation with news is looked at once
SLICE = 200  # conversations that are looked at in one go
MOST_EVENTS = 100  # numbers that are sent again at once
MOST_REPLAYS = 20  # devices that are sent something again at a time
RETRY_AFTER_MS = 1_000

log = logging.getLogger("anmei.resend")


class Said(NamedTuple):
    """A message that went out."""

    seq: int
    sender_id: str
    at: float  # loop time


class Watch:
    """The last messages of one conversation, and those whose time runs."""

    __slots__ = ("last", "other", "watched")

    def __init__(self, said: Said) -> None:
        self.last = said
        #: The last one of anybody but the sender of `last`: nobody acknowledges his own.
        self.other: Said | None = None
        #: `last` and `other` as they were when their time began to run.
        self.watched: tuple[Said, Said | None] = (said, None)

    def add(self, said: Said) -> None:
        if said.sender_id != self.last.sender_id:
            self.other = self.last
        self.last = said

    def go_on(self) -> bool:
        """What was watched is settled; whether there is anything newer to watch."""
        if self.last.seq == self.watched[0].seq:
            return False
        self.watched = (self.last, self.other)
        return True


class Resend:
    """Looks at every conversation with news once a sweep."""

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        *,
        store: Store,
        supervisor: Supervisor,
        counters: Counters,
    ) -> None:
        self._timeout = settings.ack_timeout / 1000
        self._most = settings.resends
        self._limit = settings.limit_replay
        self._loop = loop
        self._store = store
        self._supervisor = supervisor
        self._counters = counters
        self._watches: dict[Sequencer, Watch] = {}
        self._under_way: set[Device] = set()

    @property
    def on(self) -> bool:
        return self._timeout > 0 and self._most > 0

    def said(self, sequencer: Sequencer, change: Change) -> None:
        """A new message went out."""
        said = Said(change.change_seq, change.data["sender_id"], self._loop.time())
        watch = self._watches.get(sequencer)
        if watch is None:
            self._watches[sequencer] = Watch(said)
        else:
            watch.add(said)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(min(LONGEST_SWEEP, self._timeout / 4))
            for number, sequencer in enumerate(list(self._watches), 1):
                self.look(sequencer, self._loop.time())
                if number % SLICE == 0:
                    await asyncio.sleep(0)

    def look(self, sequencer: Sequencer, now: float) -> None:
        """Sends again what is due in this conversation, and forgets what is settled."""
        watch = self._watches[sequencer]
        if now - watch.watched[0].at < self._timeout:
            return
        if not self._waits(sequencer, watch, now) and not watch.go_on():
            del self._watches[sequencer]

    def _waits(self, sequencer: Sequencer, watch: Watch, now: float) -> bool:
        """Whether a device has yet to acknowledge what is watched; those that are due are sent it
        again."""
        last, other = watch.watched
        waits = False
        for device in sequencer.devices:
            if device.acked is None or device.closed or not device.attached:
                continue
            said = last if last.sender_id != device.principal.user_id else other
            acked = device.acked.get(sequencer.key)
            if said is None or (acked is not None and acked.seq >= said.seq):
                continue
            tries = 0 if acked is None else acked.tries
            if tries >= self._most:
                continue
            waits = True
            if now - said.at >= self._timeout * (tries + 1) and self._may(device):
                self._under_way.add(device)
                device.tried(sequencer.key)
                self._supervisor.spawn("resend", partial(self._again, device, sequencer, said))
        return waits

    def _may(self, device: Device) -> bool:
        """Whether the device can be replayed to now; a later sweep looks again."""
        return (
            not _busy(device)
            and device not in self._under_way
            and len(self._under_way) < MOST_REPLAYS
        )

    async def _again(self, device: Device, sequencer: Sequencer, said: Said) -> None:
        try:
            place = await self._place(device, sequencer.key)
            if place >= said.seq:
                device.acknowledged(sequencer.key, place)  # so that no try is lost by it
                return
            if device.closed or _busy(device):
                return
            self._counters.resends += 1
            place = max(place, sequencer.mark - min(MOST_EVENTS, self._limit))
            await Replay(
                device,
                {sequencer.key: place},
                store=self._store,
                limit=self._limit,
                total=self._limit,
                counters=self._counters,
                resent=True,
            ).run()
        except Exception as error:
            # What came meanwhile may be held behind a replay that will not end.
            if device.held is not None and not device.replaying:
                device.close(CloseCode.OVERLOADED, "a replay could not be finished", RETRY_AFTER_MS)
            if not isinstance(error, StoreUnavailable | AnmeiError):
                raise
        finally:
            self._under_way.discard(device)

    async def _place(self, device: Device, key: str) -> int:
        """Up to where the device has acknowledged a conversation that it was sent."""
        acked = None if device.acked is None else device.acked.get(key)
        if acked is not None and acked.seq:
            return acked.seq
        return await asyncio.wrap_future(
            self._store.read(queries.device_place, device.principal.key, device.device_id, key)
        )


def _busy(device: Device) -> bool:
    """Whether something is replayed to the device, which another replay would cut short."""
    return device.replaying or device.held is not None
