"""An actor: a bounded inbox and one coroutine that drains it.

The rules: `tell` never waits; nobody reads an actor's state but itself; no actor waits for
another's answer, so there is nothing to deadlock. Only the HTTP edge may ask (`Archive.ask`), and
it has a timeout.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

M = TypeVar("M")


class Actor(Generic[M]):
    """Subclasses implement `receive`; whoever starts them runs `run` under a supervisor."""

    __slots__ = ("_inbox", "_limit", "_waiter")

    def __init__(self, limit: int) -> None:
        self._inbox: deque[M] = deque()
        self._limit = limit
        self._waiter: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        return len(self._inbox) >= self._limit

    def tell(self, message: M) -> bool:
        """Hands `message` over; False, and nothing done, where the inbox is full.

        An idle actor receives it on the spot: nothing is before it, and to wake the coroutine for
        each message costs more than most messages do. A busy one finds it in the inbox.
        """
        waiter = self._waiter
        if waiter is None or waiter.done():
            if len(self._inbox) >= self._limit:
                return False
            self._inbox.append(message)
            return True
        self._waiter = None  # busy
        try:
            self.receive(message)
        except Exception as error:
            waiter.set_exception(error)  # a crash of the coroutine, as any other
        else:
            if self._inbox:
                waiter.set_result(None)
            else:
                self._waiter = waiter
        return True

    async def run(self) -> None:
        """Receives messages one after the other until it is cancelled.

        A crash in `receive` loses that one message and nothing else: the supervisor runs this
        again with the rest of the inbox in place.
        """
        loop = asyncio.get_running_loop()
        inbox = self._inbox
        while True:
            while inbox:
                self.receive(inbox.popleft())
            self._waiter = loop.create_future()
            await self._waiter

    def receive(self, message: M) -> None:
        """Handles one message; never waits."""
        raise NotImplementedError
