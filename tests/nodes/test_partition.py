"""One node loses its way to Redis and to nothing else."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.actors.redis_nodes import until_answer
from tests.support.http import Http
from tests.support.namespace import Cable
from tests.support.servers import Redis


@pytest.fixture
def cable(redis_server: Redis) -> Iterator[Cable]:
    cable = Cable(redis_server.socket)
    yield cable
    cable.close()


@pytest.mark.gen_test(timeout=110)
async def test_a_node_that_is_parted_from_redis_serves_its_own_and_catches_up(
    postgres_url, redis_server, cable, start, make_room, connect
):
    """P5 (rows 8, 31): packets vanish both ways, no connection is told that it has ended."""
    env = {"DATABASE_URL": postgres_url, "REDIS_URL": f"redis://{cable.host}:{cable.port}/0"}
    parted = await start(env)
    other = await start({**env, "REDIS_URL": redis_server.url})
    parted.expects_log("Redis cannot be reached|Redis is back|others read in Redis")
    room = await make_room(parted, "ada", "bob", "eve")
    ada, eve = await connect(parted, "ada"), await connect(parted, "eve")
    bob = await connect(other, "bob")
    await ada.send_message(room, "one")
    await bob.expect("new_message", content="one")

    async def status(node) -> str:
        http = Http(node.url)
        try:
            return (await http.get("/readyz")).body["status"]
        finally:
            http.close()

    await asyncio.to_thread(cable.cut)
    await ada.send_message(room, "two")
    await eve.expect("new_message", content="two")
    await until_answer(lambda: status(parted), "degraded")
    assert await status(other) == "ready"
    # The number of this one shows that there is another before it, which the database has.
    await bob.send_message(room, "three")
    await bob.expect("new_message", content="two")
    await asyncio.to_thread(cable.heal)
    await bob.send_message(room, "four")
    for client in (ada, bob, eve):
        await client.expect("new_message", content="four")
        assert [one["content"] for one in client.messages(room)] == ["one", "two", "three", "four"]
    await until_answer(lambda: status(parted), "ready")
