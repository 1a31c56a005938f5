"""The sequencer: the one place where order, gaps and duplicates of a conversation are judged.

Every numbered event passes here once per process, not once per device. What comes in turn goes
out; what comes early waits a moment and then the hole is read from the store; what comes late is
dropped.
"""

import asyncio
from collections.abc import Callable, Iterable

from actors.bundle import FEW, Bundle
from actors.counters import Counters
from actors.device import Device
from actors.fan_out import fan_out
from anmei.commands import Change
from anmei.event import Event
from anmei.ids import id_of
from db.shapes import MESSAGE_EVENTS, message_event

HOLE_PATIENCE = 0.1  # seconds that an early event waits for those before it
MOST_EARLY = 1_000  # events that may wait; past it the hole is read at once, and they with it


class Filling:
    """A hole that is read in several parts: what those who are here have of it.

    A message that is changed between two parts is in neither of the first ones, and comes as the
    change of a message that nobody here has.
    """

    __slots__ = ("_begun", "_sent")

    def __init__(self, begun: int) -> None:
        #: Up to here everybody has every message.
        self._begun = begun
        #: The `seq` of those above that went out since.
        self._sent: set[int] = set()

    def type_of(self, change: Change) -> str:
        """What the change is to those who are here."""
        if change.type not in MESSAGE_EVENTS:
            return change.type
        seq = change.data["seq"]
        type = message_event(seq, seq if seq in self._sent else self._begun, change.type)
        self._sent.add(seq)
        return type


class Sequencer:
    """One conversation that somebody online here takes part in.

    `mark` is the highest `change_seq` that went out here: everything up to it is in the store,
    and everything above it will pass through `offer`. Both are what a replay relies on.
    """

    __slots__ = (
        "_bundle",
        "_closed",
        "_counters",
        "_early",
        "_expected",
        "_fill",
        "_filling",
        "_loop",
        "_newcomers",
        "_reading",
        "_said",
        "_seats",
        "_timer",
        "_told",
        "_waiters",
        "devices",
        "key",
        "mark",
        "members",
        "size",
        "version",
    )

    def __init__(
        self,
        key: str,
        mark: int,
        *,
        loop: asyncio.AbstractEventLoop,
        seats: Callable[[str, Iterable[str]], Iterable[Device]],
        fill: Callable[["Sequencer"], None],
        counters: Counters,
        said: Callable[["Sequencer", Change], None] | None = None,
        newcomers: Callable[[Iterable[str]], None] | None = None,
    ) -> None:
        """`seats(key, user_keys)` yields the devices here of those users that listen to `key`;
        `fill(sequencer)` reads what is above the mark and calls `filled`, or `retry`;
        `said(sequencer, change)` hears of each new message that went out; `newcomers(user_keys)`
        of those who are here and were put out, or let in by an event that did not come in its
        turn, so that they begin at another one."""
        self.key = key
        self.mark = mark
        self.devices: dict[Device, None] = {}
        #: The membership it delivers by: unknown (None, -1) until the first event names it.
        self.members: frozenset[str] | None = None
        self.version = -1
        #: How many take part.
        self.size = 0
        self._bundle: Bundle | None = None
        self._loop = loop
        self._seats = seats
        self._fill = fill
        self._counters = counters
        self._said = said
        self._newcomers = newcomers
        self._early: dict[int, Change] = {}
        self._expected = mark
        #: The number of the last event that went out.
        self._told = mark
        self._filling: Filling | None = None
        #: Whether the store has been asked and has not answered: one read at a time, however long.
        self._reading = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def seat(self, device: Device) -> None:
        """The device gets the events from now on."""
        self.devices[device] = None
        self._count_anew()

    def unseat(self, device: Device) -> None:
        """The device gets no more events."""
        device.leave()
        self.devices.pop(device, None)
        self._count_anew()

    def offer(self, change: Change) -> None:
        """An event of this conversation, in whatever order it came."""
        number = change.change_seq
        if number == self.mark + 1:
            self._deliver(change)
            if self._early or self._waiters:
                self._go_on()
        elif number <= self.mark:
            self._counters.late += 1
        else:
            self._early[number] = change
            self.expect(number)

    def expect(self, number: int) -> None:
        """The store holds `number`: whatever of it and before it does not come is read there."""
        if number <= self.mark or self._closed:
            return
        self._expected = max(self._expected, number)
        if len(self._early) > MOST_EARLY:
            self._early.clear()  # the store has them
            if not self._reading:
                self._cancel_timer()
                self._read_hole()
        elif self._timer is None:
            self._timer = self._loop.call_later(HOLE_PATIENCE, self._read_hole)

    async def reached(self, number: int) -> None:
        """Waits until everything up to `number` has gone out here, or nobody is here any more."""
        if number > self.mark and not self._closed:
            future = self._loop.create_future()
            self._waiters.append((number, future))
            self.expect(number)
            await future

    def filled(self, changes: Iterable[Change], head: int | None) -> None:
        """The store's answer: what it has above the mark, ascending, and its last number if that
        is all of it; None where there is more, which is asked for next.

        Numbers up to `head` that are in neither were taken over by a later change of the same
        message. The mark may have moved since it was asked, and it alone says what is new here.
        """
        self._reading = False
        if self._closed:
            return  # whoever is back has a seat at another sequencer, and must not lose it to this
        if self._filling is None:
            self._filling = Filling(self.mark)
        for change in changes:
            if change.change_seq > self.mark:
                self._deliver(change)
        if head is None:
            self._ask()
            return
        self._filling = None
        self.mark = max(self.mark, head)
        self._go_on()
        if self.mark < self._expected:
            self.retry()

    def retry(self) -> None:
        """The store could not be read: ask again in a moment."""
        self._reading = False
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(HOLE_PATIENCE * 10, self._read_hole)

    def admits(self, user_key: str) -> bool:
        """Whether `user_key` may be seated, as far as is known here."""
        return self.members is None or user_key in self.members

    def close(self) -> None:
        """Nobody here takes part any more."""
        self._closed = True
        self._cancel_timer()
        for _, future in self._waiters:
            if not future.done():
                future.set_result(None)
        self._waiters.clear()

    def _deliver(self, change: Change) -> None:
        number = self.mark = change.change_seq
        before, self._told = self._told, number
        if change.audience.version > self.version:
            self._reseat(change)
        type = change.type if self._filling is None else self._filling.type_of(change)
        if self.devices:
            data = change.data
            if number != before + 1:
                # So that whoever counts can tell numbers that were left out from lost ones.
                data = {**data, "after_change_seq": before}
            event = Event.of(type, data)
            if self._filling is not None and type in MESSAGE_EVENTS and data["seq"] < number:
                event.seq = data["seq"]
                event.known = Event.of(message_event(0, 0, type), data)
            self._counters.encodes += 1
            if self._bundle is None and len(self.devices) >= FEW:
                self._bundle = Bundle(next(iter(self.devices)).flusher, self._counters)
            self._counters.deliveries += fan_out(
                self.devices, self.key, number, event, self._bundle
            )
            if self._said is not None and type == "new_message":
                self._said(self, change)

    def _reseat(self, change: Change) -> None:
        """Takes over a newer membership: devices of members are in, all others are out."""
        audience = change.audience
        self.version = audience.version
        self.members = audience.members
        self.size = len(audience.members)
        seated: dict[Device, None] = {}
        behind: set[str] = set()
        for device in self._seats(self.key, audience.members):
            if device in self.devices or not device.attached or self._begins(device, change):
                seated[device] = None
            else:
                behind.add(device.principal.key)
        # Whoever was seated and is no longer, and whoever is being welcomed just now.
        gone = dict.fromkeys(self._seats(self.key, change.removed)) | self.devices
        for device in gone:
            if device not in seated:
                device.put_out(self.key, self._goodbye(change))
                # As long as that was not known, a seat that is missing elsewhere did not show.
                behind.add(device.principal.key)
        if behind and self._newcomers is not None:
            self._newcomers(behind)
        for device in seated:
            if device not in self.devices and not device.attached:
                device.meanwhile[self.key] = change.change_seq
            device.conversations[self.key] = self
        self.devices = seated
        self._count_anew()

    def _count_anew(self) -> None:
        if self._bundle is not None:
            self._bundle.others = None

    def _begins(self, device: Device, change: Change) -> bool:
        """Whether nothing before the change is for the device, which is here and not seated."""
        if self._newcomers is None or change.change_seq == 1:
            return True
        return device.principal.key in change.joined

    def _goodbye(self, change: Change) -> Event:
        """The last thing that somebody hears who was removed."""
        data = {
            "conversation_id": id_of(self.key),
            "change_seq": change.change_seq,
            "conversation": None,
            "removed": True,
        }
        return Event.of("conversation_updated", data)

    def _go_on(self) -> None:
        """After the mark moved: what was early may be in turn now."""
        early = self._early
        while early and (change := early.pop(self.mark + 1, None)) is not None:
            self._deliver(change)
        if early:
            for number in [number for number in early if number <= self.mark]:
                del early[number]
                self._counters.late += 1
        if self.mark >= self._expected:
            self._cancel_timer()
        for number, future in self._waiters:
            if number <= self.mark and not future.done():
                future.set_result(None)
        self._waiters = [waiter for waiter in self._waiters if not waiter[1].done()]

    def _read_hole(self) -> None:
        self._timer = None
        if self._reading:
            self._timer = self._loop.call_later(HOLE_PATIENCE, self._read_hole)
        elif self.mark < self._expected or self._filling is not None:
            self._counters.holes += 1
            self._ask()

    def _ask(self) -> None:
        self._reading = True
        self._fill(self)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
