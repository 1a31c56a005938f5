"""The indexer: keeps the search index up with the messages, behind everybody's back.

It reads what the index lacks, enters it in small transactions, and rests in between in proportion
to how long that took, so that it never takes more than a part of the database from those who send.
Where several nodes do so, one is ahead and the others find nothing to do.
"""

import asyncio
import time

from actors.counters import Counters
from anmei.errors import AnmeiError
from db import search_index
from db.errors import StoreUnavailable
from db.search_index import Horizon
from db.store import Store

BATCH = 50  # messages in one transaction: 1 ms, at most some tens, of SQLite's one writer
REST = 4.0  # times as long as the work, before the next
SETTLING = 0.05  # seconds until transactions that still run are looked at again
PAUSE_AFTER_FAILURE = 2.0  # seconds
LOST_PAUSES = 4  # looks left out where another node was ahead


class Indexer:
    """Looks every `interval` ms for what is new."""

    def __init__(self, store: Store, counters: Counters, interval: int) -> None:
        self._store = store
        self._counters = counters
        self._interval = interval / 1000
        self._horizon: Horizon | None = None

    async def run(self) -> None:
        """Works until it is cancelled; 0 as interval is no work at all."""
        while self._interval:
            began = time.monotonic()
            try:
                pause = await self._step()
            except (StoreUnavailable, AnmeiError):
                # The store says so itself; what is missing is found again by where the index ends.
                self._horizon = None
                pause = PAUSE_AFTER_FAILURE
            await asyncio.sleep(max(pause, REST * (time.monotonic() - began)))

    async def _step(self) -> float:
        """Enters one batch; the seconds until the next."""
        found = await asyncio.wrap_future(
            self._store.read(search_index.pending, self._horizon, BATCH)
        )
        self._horizon = found.horizon
        if not found.empty:
            written = await asyncio.wrap_future(self._store.aside(search_index.write, found))
            if not written:
                self._horizon = None
                return LOST_PAUSES * self._interval
            self._counters.indexed += len(found.rows)
        if found.more:
            return 0.0
        return SETTLING if found.horizon is not None else self._interval
