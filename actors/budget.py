"""A budget: how much of what conversations have is sent in one sync."""

RESET_PAGE = 50  # events of the newest page that a reset is answered with, at most


class Budget:
    """Conversations take from it one after the other. Each may always be sent one event."""

    __slots__ = ("_left", "_limit")

    def __init__(self, limit: int, total: int) -> None:
        """At most `limit` events of one conversation, and `total` of all together."""
        self._limit = limit
        self._left = total

    @property
    def most(self) -> int:
        """The events that the next conversation may be sent."""
        return min(self._limit, max(1, self._left))

    def covers(self, missed: list[int]) -> bool:
        """Whether conversations that missed so much may all be sent it."""
        return sum(missed) <= self._left and max(missed, default=0) <= self._limit

    def take(self, missed: int) -> bool:
        """Whether a conversation that missed so much may be sent it; then that is taken."""
        if missed > self.most:
            return False
        self._left = max(0, self._left - missed)
        return True

    def take_page(self) -> int:
        """How long the newest page is that a conversation is sent instead; that is taken."""
        page = min(RESET_PAGE, self.most)
        self._left = max(0, self._left - page)
        return page
