"""Nodes of one process that share a Redis: a bus and a presence each, and what came to them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from actors.bus_redis import RedisBus
from actors.counters import Counters
from actors.presence_redis import RedisPresence
from actors.supervisor import Supervisor

SECRET = "a secret that only these nodes share"
#: The tasks in which nodes look up what they may have missed.
LOOKS = {"settle", "gap", "newcomers", "newcomer", "preferences", "fill", "audience"}
LOOKS |= {"bus catch-up", "bus mend", "presence read", "presence gone"}


class Node:
    """One node: `got` is what came but presence, `gaps` when each was announced (loop time)."""

    def __init__(self, node_id: str, url: str, secrets: list[str]) -> None:
        self.loop = asyncio.get_running_loop()
        self.counters = Counters()
        self.supervisor = Supervisor(self.counters)
        self.bus = RedisBus(node_id, url, "", secrets, self.loop, self.supervisor, self.counters)
        self.presence = RedisPresence(node_id, self.bus, self.loop, self.supervisor)
        self.got: list[dict[str, Any]] = []
        self.gaps: list[float] = []
        self.told: list[str] = []
        self.bus.listen(self._receive, lambda: self.gaps.append(self.loop.time()))
        self.presence.on_change(self.told.append)

    async def start(self) -> None:
        await self.bus.start()
        await self.presence.start()

    async def stop(self) -> None:
        await self.presence.stop()
        await self.bus.stop()
        await self.supervisor.stop()
        assert self.counters.crashes == 0

    async def vanish(self) -> None:
        """Ends as a killed process does: without a word."""
        await self.supervisor.stop()
        await self.bus.link.close()

    def _receive(self, envelope: dict[str, Any]) -> None:
        if envelope["kind"] == "presence":
            self.presence.receive(envelope)
        else:
            self.got.append(envelope)


class Nodes:
    """Starts nodes, and stops those that still run at the end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.all: list[Node] = []

    async def start(self, node_id: str, url: str = "", secrets: list[str] | None = None) -> Node:
        node = Node(node_id, url or self.url, secrets or [SECRET])
        self.all.append(node)
        await node.start()
        return node

    async def vanish(self, node: Node) -> None:
        self.all.remove(node)
        await node.vanish()

    async def stop(self, node: Node) -> None:
        self.all.remove(node)
        await node.stop()

    async def close(self) -> None:
        for node in self.all:
            await node.stop()


async def until(condition: Callable[[], object], timeout: float = 30) -> float:
    """Waits until `condition()` is true; the seconds that took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what is waited for is another's state
            await asyncio.sleep(0.01)
    return loop.time() - begun


async def until_answer(
    ask: Callable[[], Awaitable[object]], wanted: object, timeout: float = 30
) -> None:
    """Waits until what `ask` answers is `wanted`."""
    answer: object = None
    try:
        async with asyncio.timeout(timeout):
            while (answer := await ask()) != wanted:  # noqa: ASYNC110 - another program's state
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"expected {wanted!r} within {timeout} s, got {answer!r}") from None


async def quiet() -> None:
    """Waits until no node looks anything up any more on account of who came, or of what it may
    have missed: until then, what it finds may be told at any time."""
    while True:
        for _ in range(5):  # what a tick has begun may begin another thing in the next
            await asyncio.sleep(0)
        looks = [task for task in asyncio.all_tasks() if task.get_name() in LOOKS]
        if not looks:
            return
        await asyncio.wait(looks)


async def calm(*nodes: Node) -> None:
    """Waits until the nodes know each other and have announced what gaps that takes."""
    ids = {node.bus.node_id for node in nodes}

    def acquainted(node: Node) -> bool:
        others = ids - {node.bus.node_id}
        heard = all(node_id in node.bus.peers for node_id in others)
        return node.bus.problem is None and heard and others <= set(node.presence.others())

    await until(lambda: all(map(acquainted, nodes)))
    for node in nodes:
        await node.bus.settled()
    await quiet()
    for node in nodes:
        node.gaps.clear()
        node.told.clear()
