"""How many HTTP requests each user may make."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from anmei.bucket import Bucket
from anmei.errors import AnmeiError, ErrorCode
from anmei.principal import Principal

#: Users whose requests are remembered; whoever is forgotten begins with a full bucket again.
MOST_USERS = 10_000


class RequestLimit:
    """A bucket for each user: `burst` requests at once, `rate` a second after that; a rate of 0
    is no limit. Backends and admins, who act for many, have none.

    `note(user_key)` is told of each request that was let through.
    """

    def __init__(
        self,
        rate: int,
        burst: int,
        loop: asyncio.AbstractEventLoop,
        note: Callable[[str], None] = lambda user_key: None,
        *,
        users: int = MOST_USERS,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._loop = loop
        self._note = note
        self._users = users
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        """How many users are remembered."""
        return len(self._buckets)

    def take(self, principal: Principal) -> None:
        """Counts one request. Raises AnmeiError (RATE_LIMITED) where it is one too many."""
        if not self._rate or principal.acts_for_others:
            return
        now = self._loop.time()
        wait = self._bucket(principal.key, now).take(now)
        if wait:
            raise AnmeiError(
                ErrorCode.RATE_LIMITED,
                f"{self._rate} requests a second are allowed",
                retry_after_ms=int(wait * 1000) + 1,
            )
        self._note(principal.key)

    def spent_elsewhere(self, user_key: str, count: float) -> None:
        """The user has made so many requests on another node."""
        if self._rate:
            now = self._loop.time()
            self._bucket(user_key, now).owe(now, count)

    def _bucket(self, key: str, now: float) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, self._burst, now)
            if len(self._buckets) > self._users:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket
