"""How many HTTP requests each user may make."""

import asyncio
from collections import OrderedDict

from anmei.bucket import Bucket
from anmei.errors import AnmeiError, ErrorCode
from anmei.principal import Principal

#: Users whose requests are remembered; whoever is forgotten begins with a full bucket again.
MOST_USERS = 10_000


class RequestLimit:
    """A bucket for each user: `burst` requests at once, `rate` a second after that; a rate of 0
    is no limit. Backends and admins, who act for many, have none."""

    def __init__(
        self, rate: int, burst: int, loop: asyncio.AbstractEventLoop, *, users: int = MOST_USERS
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._loop = loop
        self._users = users
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        """How many users are remembered."""
        return len(self._buckets)

    def take(self, principal: Principal) -> None:
        """Counts one request. Raises AnmeiError (RATE_LIMITED) where it is one too many."""
        if not self._rate or principal.acts_for_others:
            return
        key, now = principal.key, self._loop.time()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, self._burst, now)
            if len(self._buckets) > self._users:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        wait = bucket.take(now)
        if wait:
            raise AnmeiError(
                ErrorCode.RATE_LIMITED,
                f"{self._rate} requests a second are allowed",
                retry_after_ms=int(wait * 1000) + 1,
            )
