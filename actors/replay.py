"""Replay: bringing a device up to where its conversations are, then letting it live.

The rule that makes it whole: the device begins to hold what the sequencer delivers *before* the
store is read, and it is read up to its end, wherever that is by then. What is read is sent; once
the sequencer has reached that end too, what is held up to there is let go, and what is held above
it follows. Nothing falls between, nothing comes twice, and a message that is changed meanwhile
cannot move out of the part that is read without being held instead.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from actors.budget import RESET_PAGE, Budget
from actors.counters import Counters
from actors.device import Device
from actors.held import Held
from anmei.event import Event
from anmei.frames import Sync
from anmei.ids import id_of, make_key
from anmei.inbox import is_inbox
from db import queries
from db.shapes import MESSAGE_EVENTS, message_event
from db.store import Store

PAGE = 200  # numbers of one read, of one conversation or of several together
UNREAD = -1  # the place, in an inbox, of a device that has never said how far it is
COUNTED = 500  # conversations whose backlogs are counted in one read


class Span:
    """A conversation's replay: what it begins above, and what was sent of it."""

    __slots__ = ("begun", "count", "far", "held", "key", "place", "reset", "sent", "whole")

    def __init__(self, key: str, place: int, mark: int, held: Held) -> None:
        self.key = key
        #: What `from` says, how far events were sent, and up to where every message was.
        self.begun = self.place = self.whole = place
        #: How far behind it was; below 0 for a place that the store has never had.
        self.far = mark - place
        #: Where what goes out meanwhile waits.
        self.held = held
        self.count = 0
        self.reset = False
        #: The `seq` of messages above `whole` that were sent: met on a later page once more, since
        #: they were changed meanwhile, they are new no longer.
        self.sent: set[int] = set()


class Replay:
    """Replays to one device from `places`, the `change_seq` it holds by conversation key."""

    def __init__(
        self,
        device: Device,
        places: Mapping[str, int],
        *,
        store: Store,
        limit: int,
        total: int,
        counters: Counters,
        resent: bool = False,
    ) -> None:
        """At most `limit` events are replayed of one conversation, or the inbox, and `total` of all
        conversations together, the first ones first. With `resent` each event says that the device
        has had it before, as far as is known."""
        self._resent = resent
        self._device = device
        self._places = places
        self._store = store
        self._limit = limit
        self._budget = Budget(limit, total)
        self._counters = counters
        self._report: dict[str, dict[str, Any]] = {}
        # What must be read; None before it has begun.
        self._spans: list[Span] | None = None

    def begin(self) -> list[Span]:
        """The step without waiting, for whoever cannot wait for `run` to take it. Returns what must
        be read; all other conversations of the device are live from here on."""
        device = self._device
        spans = self._spans = []
        for key, place in self._places.items():
            sequencer = device.conversations.get(key)
            if sequencer is None:
                continue  # not, or no longer, one of the user's: not reported either
            if place == sequencer.mark:
                device.release(key)
                self._report[key] = {"from": place, "to": place, "count": 0, "reset": False}
            else:
                spans.append(Span(key, place, sequencer.mark, device.hold(key)))
        device.attach()
        return spans

    async def run(self) -> dict[str, dict[str, Any]]:
        """Replays everything. Returns what `sync_complete` says of each conversation, and of the
        inbox, by its key."""
        inbox: list[Span] = []
        spans: list[Span] = []
        for span in self.begin() if self._spans is None else self._spans:
            (inbox if is_inbox(span.key) else spans).append(span)
        for start in range(0, len(spans), COUNTED):
            await self._conversations(spans[start : start + COUNTED])
        for span in inbox:
            await self._inbox(span)
        return self._report

    async def _conversations(self, spans: list[Span]) -> None:
        """Replays each, or answers it with a reset: one that the budget does not cover, or a place
        that the store has never had (a backup was restored since)."""
        missed = await self._missed(spans)
        small: list[Span] = []
        resets: list[Span] = []
        together = 0
        for span in spans:
            number = missed[span.key]
            if span.far < 0 or not self._budget.take(number):
                page = self._budget.take_page()
                if page > 1:
                    await self._reset(span, page)
                else:
                    resets.append(span)
            elif number > PAGE:
                await self._catch_up(span, complete=False)
            else:
                if together + number > PAGE:
                    await self._small(small)
                    small, together = [], 0
                small.append(span)
                together += number
        await self._small(small)
        await self._resets(resets)

    async def _missed(self, spans: list[Span]) -> dict[str, int]:
        """How many events each has missed, or more than may be sent of it. Numbers are messages,
        unless one was changed often; where they are few it need not be known."""
        missed = {span.key: max(1, span.far) for span in spans}
        if not self._budget.covers(list(missed.values())):
            wanted = [(span.key, span.place) for span in spans if span.far > 1]
            counted = await asyncio.wrap_future(
                self._store.read(queries.distances, wanted, self._budget.most + 1)
            )
            missed |= {key: max(1, number) for key, number in counted.items()}
        return missed

    async def _small(self, spans: list[Span]) -> None:
        """Conversations whose backlogs fit into one read together, unless they are long ones."""
        while spans and not self._device.closed:
            wanted = [(span.key, span.place) for span in spans]
            pages = await asyncio.wrap_future(self._store.read(queries.changes_many, wanted, PAGE))
            for span in spans:
                if span.key in pages:
                    complete = await self._push(span, pages[span.key])
                    await self._catch_up(span, complete)
            spans = [span for span in spans if span.key not in pages]

    async def _reset(self, span: Span, most: int) -> None:
        """A conversation, or the inbox, that is answered with its newest page."""
        page = await asyncio.wrap_future(self._store.read(queries.newest, span.key, most))
        await self._anew(span, *page)

    async def _resets(self, spans: list[Span]) -> None:
        """Conversations that are answered with their newest message each."""
        while spans and not self._device.closed:
            wanted = [span.key for span in spans[:PAGE]]
            pages = await asyncio.wrap_future(self._store.read(queries.newest_many, wanted))
            for span in spans[:PAGE]:
                if span.key in pages:
                    await self._anew(span, *pages[span.key])
            spans = [span for span in spans if span.key not in pages]

    async def _anew(self, span: Span, begun: int, newest: queries.Backlog) -> None:
        """Begins at the newest page, which is above `begun`."""
        self._counters.resets += 1
        span.reset, span.begun, span.place, span.whole = True, begun, begun, begun
        complete = await self._push(span, newest)
        await self._catch_up(span, complete)

    async def _inbox(self, span: Span) -> None:
        if span.place == UNREAD:
            await self._unread(span)
        elif span.far > 0 and (span.far <= self._limit or await self._few(span)):
            await self._catch_up(span, complete=False)
        else:
            await self._reset(span, min(RESET_PAGE, self._limit))

    async def _unread(self, span: Span) -> None:
        """An inbox, for a device of which nothing is known: what is not read in it."""
        span.begun = span.place = span.whole = 0
        span.reset, page = await asyncio.wrap_future(
            self._store.read(queries.inbox_unread, span.key, self._limit)
        )
        self._counters.resets += span.reset
        complete = await self._push(span, page)
        await self._catch_up(span, complete)

    async def _few(self, span: Span) -> bool:
        """Whether the numbers that were missed are those of few messages, changed often."""
        found = await asyncio.wrap_future(
            self._store.read(queries.distance, span.key, span.place, self._limit + 1)
        )
        return found <= self._limit

    async def _catch_up(self, span: Span, complete: bool) -> None:
        """What the store has above the span's place, unless it is `complete`, then what was held
        meanwhile, and where more came than may be held, what the store has of it; then the
        conversation is live.

        A user who is put out, even one who is let in again at once, ends it: the membership that
        this was for is over, and what is his from then on he is sent live.
        """
        device, key = self._device, span.key
        while True:
            while not complete and device.holds(key, span.held):
                page = await asyncio.wrap_future(
                    self._store.read(queries.changes, key, span.place, PAGE)
                )
                complete = await self._push(span, page)
            # What was read and has not gone out here yet must not do so behind the replay.
            sequencer = device.conversations.get(key)
            if sequencer is not None and device.holds(key, span.held):
                await sequencer.reached(span.place)
            while device.holds(key, span.held) and span.held.events:
                await device.room()
                taken = device.next_held(span.held) if device.holds(key, span.held) else None
                if taken is not None and taken[0] > span.place:
                    number, event = taken
                    device.push_now(event.to(span.whole))
                    span.place = span.whole = number
                    span.count += 1
            if not device.holds(key, span.held):
                return
            if not span.held.overflown:
                break
            span.held = device.hold(key)
            complete = False
        device.release(key)
        self._report[key] = {
            "from": span.begun,
            "to": span.place,
            "count": span.count,
            "reset": span.reset,
        }

    async def _push(self, span: Span, page: queries.Backlog) -> bool:
        """Sends a page as fast as the device reads. Returns whether that was all there is; the
        span's place is then where the store ended."""
        device, before = self._device, span.count
        for number, type, data in page.events:
            await device.room()
            if not device.holds(span.key, span.held):
                break
            if type in MESSAGE_EVENTS:
                seq = data["seq"]
                type = message_event(seq, seq if seq in span.sent else span.whole, type)
                span.sent.add(seq)
            device.push_now(Event.of(type, {**data, "resent": True} if self._resent else data))
            span.place = number
            span.count += 1
        self._counters.replayed += span.count - before
        if not page.whole:
            return False
        span.place = span.whole = max(span.place, page.head)
        span.sent.clear()
        return True


def keyed(device: Device, sync: Sync) -> dict[str, int]:
    """A client's positions by the keys of conversations and inbox, of those it is told of alone."""
    tenant = device.principal.tenant
    places = {make_key(tenant, id): seq for id, seq in sync.positions.items()}
    if sync.inbox is not None:
        places[device.inbox] = sync.inbox
    return {key: seq for key, seq in places.items() if key in device.conversations}


def complete(report: Mapping[str, dict[str, Any]], preferences: int | None) -> Event:
    """The `sync_complete` that says so."""
    inbox = [line for key, line in report.items() if is_inbox(key)]
    data = {
        "conversations": {id_of(key): line for key, line in report.items() if not is_inbox(key)},
        "inbox": inbox[0] if inbox else None,
        "preferences": preferences,
    }
    return Event.of("sync_complete", data)
