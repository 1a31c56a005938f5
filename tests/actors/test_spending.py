"""A limit that users spend on several nodes."""

import asyncio
from types import SimpleNamespace

from actors.bus_memory import Hub, MemoryBus
from actors.relay import Relay
from actors.spending import MOST_TOLD, TICK, Spending

RATE = 40.0


class Node:
    """One node's end, and what it was told that users spent elsewhere."""

    def __init__(self, name: str, hub: Hub) -> None:
        self.bus = MemoryBus(name, asyncio.get_running_loop(), hub)
        self.spending = Spending(self.bus, RATE)
        self.told: dict[str, float] = {}
        relay = Relay(self.bus, None, SimpleNamespace(gap=None))  # type: ignore[arg-type]
        relay.listen()
        self.spending.attend(relay, self.told.__setitem__)


async def test_what_is_much_is_told_once_and_what_is_little_is_not():
    hub = Hub()
    one, two = Node("node_a", hub), Node("node_b", hub)
    share = int(RATE * TICK / 4)  # half of an even share of two nodes
    for user, count in (("t/quick", share + 1), ("t/slow", share)):
        for _ in range(count):
            one.spending.note(user)
    one.spending.tell()
    await asyncio.sleep(0)
    assert two.told == {"t/quick": share + 1}
    assert one.told == {}
    two.told.clear()
    one.spending.tell()
    await asyncio.sleep(0)
    assert two.told == {}


async def test_one_word_is_bounded_and_names_those_who_took_most():
    hub = Hub()
    one, two = Node("node_a", hub), Node("node_b", hub)
    for number in range(MOST_TOLD + 10):
        one.spending.note(f"t/u{number}", 100.0 + number)
    one.spending.tell()
    await asyncio.sleep(0)
    assert len(two.told) == MOST_TOLD
    assert "t/u9" not in two.told
    assert "t/u10" in two.told


async def test_a_node_alone_tells_nobody_and_keeps_nothing():
    node = Node("node_a", Hub())
    for _ in range(1_000):
        node.spending.note("t/u")
    node.spending.tell()
    assert len(node.spending) == 0
