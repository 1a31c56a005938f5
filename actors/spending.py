"""What users have spent of a limit, told between nodes, so that it is one limit on all of them.

Every node has its own bucket for each user. Twice a second it tells the others what was taken
here by those who took much, in one envelope, and they take the same from their buckets. So all
buckets follow one another half a second behind, nothing is asked of anybody while a request is
judged, and without Redis each node keeps its own limit.
"""

import asyncio
from collections.abc import Callable
from heapq import nlargest

from actors.bus import Bus, Envelope
from actors.relay import Relay

TICK = 0.5  # seconds between two words
MOST_TOLD = 1_000  # users in one word, those who took most
KIND = "spent"


class Spending:
    """One limit of `rate` a second, spent on several nodes."""

    def __init__(self, bus: Bus, rate: float) -> None:
        self._bus = bus
        self._rate = rate
        self._spent: dict[str, float] = {}

    def __len__(self) -> int:
        """How many users have taken something since the last word."""
        return len(self._spent)

    def note(self, user_key: str, cost: float = 1.0) -> None:
        """The user has taken so much here."""
        if self._bus.shared:
            self._spent[user_key] = self._spent.get(user_key, 0.0) + cost

    def attend(self, relay: Relay, take: Callable[[str, float], None]) -> None:
        """From now on `take(user_key, cost)` is told what users take on other nodes."""

        def came(envelope: Envelope) -> None:
            for user_key, cost in envelope["users"].items():
                take(user_key, cost)

        relay.hear(KIND, came)

    async def run(self) -> None:
        """Tells the others until it is cancelled."""
        while True:
            await asyncio.sleep(TICK)
            self.tell()

    def tell(self) -> None:
        """Tells the others what was taken here since the last time, where it was much."""
        spent, self._spent = self._spent, {}
        others = self._bus.others
        if not spent or not others:
            return
        # What nobody tells is less than half of the rate, on all nodes together.
        much = self._rate * TICK / (2 * (others + 1))
        told = {user_key: cost for user_key, cost in spent.items() if cost > much}
        if len(told) > MOST_TOLD:
            told = dict(nlargest(MOST_TOLD, told.items(), key=lambda item: item[1]))
        if told:
            self._bus.publish_all({"kind": KIND, "users": told})
