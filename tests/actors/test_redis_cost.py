"""What a message costs Redis, as Redis itself sees it: the same for ten members and a thousand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from tornado.ioloop import IOLoop

from anmei.commands import AddParticipants
from db.store import Store
from tests.actors.full_nodes import ROOM, FullNode, Pair, Person
from tests.actors.redis_nodes import until
from tests.support.servers import Redis

MESSAGES = 20
#: What goes on without any message: heartbeats and their answers, leases, who is online, and
#: connections that begin.
GOES_ON = ("anmei:all", "anmei:lease", "anmei:seats", "anmei:nodes", "online_users", "ws:presence")
GOES_ON += ('"kind":"bus"', "HELLO", "CLIENT ", "ECHO")


@pytest.fixture
def pair(redis_server: Redis, io_loop: IOLoop, tmp_path: Path) -> Any:
    nodes = Pair()
    stores = [
        Store(f"sqlite:///{tmp_path}/anmei.db", readers=1, timeout_ms=30_000) for _ in range(2)
    ]
    io_loop.run_sync(lambda: nodes.start(stores, redis_server.url))
    yield nodes
    io_loop.run_sync(nodes.stop)


def written(node: FullNode) -> bool:
    """Whether Redis has been told who is on the node."""
    presence = node.presence
    return not presence._dirty and not presence._writing.locked() and not presence._mirror.due


@asynccontextmanager
async def commands(server: Redis) -> AsyncIterator[list[str]]:
    """Every command that Redis is sent inside the block, as MONITOR shows it."""
    client = redis.asyncio.Redis.from_url(server.url)
    seen: list[str] = []
    async with client.monitor() as monitor:

        async def watch() -> None:
            async for command in monitor.listen():
                seen.append(command["command"])

        watching = asyncio.create_task(watch())
        yield seen
        await client.echo("the end")
        await until(lambda: any("the end" in command for command in seen))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    await client.aclose()


async def test_commands_and_bytes_of_a_message_are_the_same_for_ten_members_and_for_a_thousand(
    pair: Pair, redis_server: Redis
) -> None:
    ada, bob = await pair.one.person("ada"), await pair.two.person("bob")
    crowd = [f"user{number}" for number in range(1_000)]
    for number, user_id in enumerate(crowd):
        Person((pair.one, pair.two)[number % 2], user_id)

    async def cost(sofar: int) -> tuple[int, int]:
        """What the messages of ada cost, sent one after the other: commands, and bytes."""
        await pair.one.bus.settled()
        await pair.two.bus.settled()
        for node in (pair.one, pair.two):
            await until(lambda node=node: written(node))
        async with commands(redis_server) as seen:
            for number in range(MESSAGES):
                ada.send("the same text")
                await until(lambda number=number: len(bob.contents()) == sofar + number + 1)
        to_node = [command for command in seen if "anmei:node:" in command and "change" in command]
        rest = [
            command
            for command in seen
            if command not in to_node and not any(word in command for word in GOES_ON)
        ]
        assert rest == []
        return len(to_node), sum(map(len, to_node))

    await pair.one.do(
        AddParticipants(ROOM, "default/ada", tuple(f"default/{id}" for id in crowd[:7]), 2)
    )
    few, few_bytes = await cost(0)
    others = tuple(f"default/{user_id}" for user_id in crowd[7:])
    await pair.one.do(AddParticipants(ROOM, "default/ada", others, 3))
    many, many_bytes = await cost(MESSAGES)
    assert pair.one.router.sequencers[ROOM].size == 1_003
    assert few == many == MESSAGES
    assert abs(few_bytes - many_bytes) <= 4 * MESSAGES  # numbers have a digit more
