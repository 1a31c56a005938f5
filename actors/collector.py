"""The garbage collector, tamed.

Python's collector walks over everything that lives, again and again, in search of cycles. A server
with thousands of idle connections keeps a great many, nearly none of which will ever be garbage,
and each full walk stops the loop. So young objects are looked at in large portions, and what has
proved to live is taken out of the walk (docs/decisions/0008-loop-and-collector.md).
"""

import asyncio
import gc
from collections.abc import Callable

PAUSE = 10.0  # seconds between two freezes
YOUNG_ROUNDS = 20  # portions after which the survivors are looked at once more
NEVER = 1_000_000  # rounds before a full walk: the freezes leave nothing for one to do
QUIET_ROUNDS = 60  # freezes before everything is walked over once, if it is quiet then


class Collector:
    """Freezes what lives every few seconds. Objects that are not part of a cycle are freed when
    the last reference goes, frozen or not, and a connection that ends should leave no cycle; for
    the case that one does, everything is walked over now and then while few are connected."""

    def __init__(self, threshold: int, quiet: Callable[[], bool]) -> None:
        """`threshold`: objects made before the young ones are looked at; 0 leaves the collector
        as Python sets it. `quiet` says whether a moment's stop would disturb nobody."""
        self._threshold = threshold
        self._quiet = quiet

    async def run(self) -> None:
        if not self._threshold:
            return
        gc.set_threshold(self._threshold, YOUNG_ROUNDS, NEVER)
        rounds = 0
        while True:
            rounds += 1
            if rounds >= QUIET_ROUNDS and self._quiet():
                rounds = 0
                gc.unfreeze()
                gc.collect()
            else:
                # What has come since the last look. The rest has been looked at once.
                gc.collect(0)
            gc.freeze()
            await asyncio.sleep(PAUSE)
