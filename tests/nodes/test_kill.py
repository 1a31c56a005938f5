"""A node that is killed, again and again, while people talk."""

import asyncio
import random

import pytest

KILLS = 5
FAST = {"ANMEI_LIMIT_FRAMES_PER_SECOND": "0", "ANMEI_LIMIT_REPLAY": "10000"}


@pytest.mark.gen_test(timeout=110)
async def test_nothing_acknowledged_is_lost_when_the_node_is_killed_again_and_again(
    database_url, start, make_room, crowd
):
    """P1, P2, P3 (row 1): an acknowledged message is there once, in one order for everybody."""
    node = await start({"DATABASE_URL": database_url, **FAST})
    senders = [f"sender{number}" for number in range(4)]
    rooms = [await make_room(node, "watcher", *senders) for _ in range(3)]
    async with crowd(node, rooms) as people:
        people.observe("watcher", ["phone", "laptop"], resume=True)
        people.observe("watcher", ["tablet"], resume=False)
        people.send(senders[:3])
        people.send(senders[3:], heed=False)
        for kill in range(KILLS):
            await people.more(random.randrange(10, 80))
            await people.back(kill + 1)
            await asyncio.to_thread(node.kill9)
            await asyncio.to_thread(node.start)
        await people.more(50)
        await people.back(KILLS + 1)
        await people.settle()
        await people.judge()
