"""The other nodes as the bus knows them: who is alive, and how much of ours each has handled."""

import asyncio

SILENCE = 5.0  # seconds without a heartbeat after which a node may be dead
LEASE = 11.0  # seconds without a heartbeat after which it is
LONGEST_SETTLE = 15.0  # seconds that anybody waits for others


class Peers:
    """Heartbeats come in, and those who wait for everybody else are let go."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heard: dict[str, float] = {}
        self._handled: dict[str, int] = {}
        #: What is waited for, and who has not handled it yet.
        self._waiting: dict[asyncio.Future[None], tuple[int, set[str]]] = {}

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._heard

    def __len__(self) -> int:
        return len(self._heard)

    def hear(self, node_id: str) -> bool:
        """Something of the node came; True where the node is new."""
        new = node_id not in self._heard
        self._heard[node_id] = self._loop.time()
        return new

    def expect(self, node_id: str) -> None:
        """The node is alive as far as is known otherwise."""
        self._heard.setdefault(node_id, self._loop.time())

    def alive(self, node_id: str) -> bool:
        """Whether it was heard lately."""
        heard = self._heard.get(node_id)
        return heard is not None and self._loop.time() - heard < SILENCE

    def silent(self) -> list[str]:
        """Those who have not been heard for a lease."""
        now = self._loop.time()
        return [node_id for node_id, heard in self._heard.items() if now - heard > LEASE]

    def forget(self, node_id: str) -> bool:
        """The node is dead: nobody waits for it. False where it was not known."""
        self._handled.pop(node_id, None)
        if self._heard.pop(node_id, None) is None:
            return False
        self._let_go()
        return True

    def handled(self, node_id: str, number: int) -> None:
        """The node has handled all that was sent to all, up to `number`."""
        if number > self._handled.get(node_id, 0):
            self._handled[node_id] = number
            self._let_go()

    async def wait(self, number: "asyncio.Future[int]") -> None:
        """Waits until everybody who is alive now has handled what was sent to all, up to `number`
        once that is known, or is dead; at most `LONGEST_SETTLE` seconds."""
        others = set(self._heard)
        done: asyncio.Future[None] = self._loop.create_future()
        try:
            async with asyncio.timeout(LONGEST_SETTLE):
                self._waiting[done] = (await number, others)
                self._let_go()
                await done
        except TimeoutError:
            pass
        finally:
            self._waiting.pop(done, None)

    def close(self) -> None:
        """Nobody waits any longer."""
        self._heard.clear()
        self._let_go()

    def _let_go(self) -> None:
        for done, (number, others) in self._waiting.items():
            others -= {
                node_id
                for node_id in others
                if node_id not in self._heard or self._handled.get(node_id, 0) >= number
            }
            if not others and not done.done():
                done.set_result(None)
