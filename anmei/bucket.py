"""A token bucket: so many at once, so many a second after that."""


class Bucket:
    """Allows `burst` at once and `rate` a second on average; a rate of 0 allows everything.

    The clock is the caller's: `now` is in seconds and must not run backwards.
    """

    __slots__ = ("_burst", "_left", "_rate", "_seen")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._seen = now

    def take(self, now: float, cost: float = 1.0) -> float:
        """Takes `cost` and returns 0.0, or takes none and returns the seconds until there is as
        much. What costs more than the burst takes all of a full bucket."""
        if not self._rate:
            return 0.0
        cost = min(cost, self._burst)
        left = self._refill(now)
        if left >= cost:
            self._left = left - cost
            return 0.0
        return (cost - left) / self._rate

    def owe(self, now: float, cost: float) -> None:
        """Takes `cost` in any case: what is not there is owed, up to a whole burst."""
        self._left = max(-self._burst, self._refill(now) - cost)

    def _refill(self, now: float) -> float:
        self._left = min(self._burst, self._left + (now - self._seen) * self._rate)
        self._seen = now
        return self._left
