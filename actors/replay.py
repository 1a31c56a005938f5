"""Replay: bringing a device up to where its conversations are, then letting it live.

The rule that makes it whole: in one step without waiting, the mark of the conversation's sequencer
is taken and the device begins to hold what the sequencer delivers. Everything up to the mark is in
the store and is read there; everything above it is held, and follows. Nothing falls between and
nothing comes twice.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from actors.counters import Counters
from actors.device import Device, Held
from anmei.event import Event
from anmei.ids import id_of, make_key
from db import queries
from db.store import Store

PAGE = 200  # numbers of one read, of one conversation or of several together
RESET_PAGE = 50  # events of the newest page that a reset is answered with


class Span(NamedTuple):
    """What a conversation's replay must cover: above `place`, up to `upto`."""

    key: str
    place: int
    upto: int
    #: Where what goes out meanwhile waits.
    held: Held


class Replay:
    """Replays to one device from `places`, the `change_seq` it holds by conversation key."""

    def __init__(
        self,
        device: Device,
        places: Mapping[str, int],
        *,
        store: Store,
        limit: int,
        counters: Counters,
    ) -> None:
        self._device = device
        self._places = places
        self._store = store
        self._limit = limit
        self._counters = counters
        self._report: dict[str, dict[str, Any]] = {}

    def begin(self) -> list[Span]:
        """The step without waiting. Returns what must be read; all other conversations of the
        device are live from here on."""
        device = self._device
        spans = []
        for key, place in self._places.items():
            sequencer = device.conversations.get(key)
            if sequencer is None:
                continue  # not, or no longer, one of the user's: not reported either
            if place == sequencer.mark:
                device.release(key)
                self._told(key, place, place, 0, reset=False)
            else:
                spans.append(Span(key, place, sequencer.mark, device.hold(key)))
        device.attached = True
        return spans

    async def run(self) -> dict[str, dict[str, Any]]:
        """Replays everything. Returns what `sync_complete` says of each conversation, by its id."""
        small: list[Span] = []
        numbers = 0
        for span in self.begin():
            distance = span.upto - span.place
            if not 0 < distance <= min(PAGE, self._limit):
                await self._large(span)
                continue
            if numbers + distance > PAGE:
                await self._small(small)
                small, numbers = [], 0
            small.append(span)
            numbers += distance
        await self._small(small)
        return self._report

    async def _small(self, spans: list[Span]) -> None:
        """Conversations whose backlogs fit into one read together."""
        wanted = [(span.key, span.place, span.upto) for span in spans]
        if not wanted or self._device.closed:
            return
        pages = await asyncio.wrap_future(self._store.read(queries.changes_many, wanted, PAGE))
        for span in spans:
            count = await self._push(span, pages[span.key])
            await self._catch_up(span, span.upto, count, reset=False)

    async def _large(self, span: Span) -> None:
        """A conversation whose backlog takes several reads, or is answered with a reset: one over
        the limit, or a place that the store has never had (a backup was restored since)."""
        key, place, upto, held = span
        if 0 < upto - place <= self._limit:
            await self._catch_up(span, place, 0, reset=False)
            return
        self._counters.resets += 1
        newest = await asyncio.wrap_future(
            self._store.read(queries.newest, key, upto, min(RESET_PAGE, self._limit))
        )
        begun = newest[0][0] - 1 if newest else upto
        count = await self._push(span, newest)
        await self._catch_up(Span(key, begun, upto, held), upto, count, reset=True)

    async def _catch_up(self, span: Span, reached: int, count: int, *, reset: bool) -> None:
        """From `reached` on: what is left of the span, what was held meanwhile, and where more
        came than may be held, what the store has of it; then the conversation is live.

        A user who is put out, even one who is let in again at once, ends it: the membership that
        this was for is over, and what is his from then on he is sent live.
        """
        device, key, upto = self._device, span.key, span.upto
        while True:
            while reached < upto and device.holds(key, span.held):
                page = await asyncio.wrap_future(
                    self._store.read(queries.changes, key, reached, upto, PAGE)
                )
                count += await self._push(span, page)
                reached = page[-1][0] if len(page) == PAGE else upto
            while device.holds(key, span.held) and span.held.events:
                await device.room()
                taken = device.next_held(span.held) if device.holds(key, span.held) else None
                if taken is not None:
                    reached, event = taken
                    device.push(event)
                    count += 1
            if not device.holds(key, span.held):
                return
            if not span.held.overflown:
                break
            upto = device.conversations[key].mark
            span = span._replace(held=device.hold(key))
        device.release(key)
        self._told(key, span.place, max(reached, upto), count, reset=reset)

    async def _push(self, span: Span, page: list[queries.Event]) -> int:
        """Sends a page as fast as the device reads. Returns how many events went out."""
        device, count = self._device, 0
        for _, type, data in page:
            await device.room()
            if not device.holds(span.key, span.held):
                break
            device.push(Event.of(type, data))
            count += 1
        self._counters.replayed += count
        return count

    def _told(self, key: str, begun: int, upto: int, count: int, *, reset: bool) -> None:
        self._report[id_of(key)] = {"from": begun, "to": upto, "count": count, "reset": reset}


def keyed(device: Device, positions: Mapping[str, int]) -> dict[str, int]:
    """A client's positions by conversation key, those of its conversations alone."""
    tenant = device.principal.tenant
    places = {make_key(tenant, id): seq for id, seq in positions.items()}
    return {key: seq for key, seq in places.items() if key in device.conversations}
