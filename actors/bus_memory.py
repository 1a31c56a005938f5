"""A bus within one process: for one node there is nobody to hear it, for several it is whole."""

import asyncio
from collections.abc import Callable

from actors.bus import Checkup, Envelope


class Hub:
    """What the nodes of one process share."""

    def __init__(self) -> None:
        self.receivers: dict[str, Callable[[Envelope], None]] = {}


class MemoryBus:
    """One node's end of a `Hub`."""

    problem: str | None = None

    def __init__(
        self, node_id: str, loop: asyncio.AbstractEventLoop, hub: Hub | None = None
    ) -> None:
        self._node_id = node_id
        self._loop = loop
        self._hub = hub or Hub()

    async def start(self) -> None:
        """There is nothing to connect to."""

    async def stop(self) -> None:
        self._hub.receivers.pop(self._node_id, None)

    def publish(self, node_id: str, envelope: Envelope) -> None:
        receive = self._hub.receivers.get(node_id)
        if receive is not None:
            # In a tick of its own, as a network would: nobody is called back while publishing.
            self._loop.call_soon(receive, envelope)

    def publish_all(self, envelope: Envelope) -> None:
        for node_id in self._hub.receivers:
            if node_id != self._node_id:
                self.publish(node_id, envelope)

    def listen(self, receive: Callable[[Envelope], None], gap: Callable[[], None]) -> None:
        """A memory bus loses nothing, so `gap` is never called."""
        self._hub.receivers[self._node_id] = receive

    @property
    def shared(self) -> bool:
        return len(self._hub.receivers) > 1

    @property
    def others(self) -> int:
        return max(0, len(self._hub.receivers) - 1)

    async def settled(self) -> None:
        # What was published is due in this tick; whoever waits here comes behind it.
        await asyncio.sleep(0)

    async def check_up(self) -> Checkup | None:
        return None
