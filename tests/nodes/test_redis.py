"""Two processes and a Redis that dies under them."""

import asyncio
import time

import pytest
import redis

from anmei.codec import encode
from tests.actors.redis_nodes import until_answer
from tests.anmei.test_outside import signed
from tests.support.http import Http
from tests.support.tokens import SECRET


async def status(node) -> str:
    http = Http(node.url)
    try:
        answer = await http.request("GET", "/readyz")
    finally:
        http.close()
    assert answer.status == 200
    return answer.body["status"]


@pytest.mark.gen_test(timeout=110)
async def test_two_processes_are_one_server_also_when_redis_dies_between(
    postgres_url, redis_server, start, make_room, connect, metrics
):
    """P5 (row 12): local delivery goes on, health says degraded, and all is caught up, also by
    who was let into a conversation meanwhile in which nothing follows."""
    env = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_server.url}
    one, two = await start(env), await start(env)
    for node in (one, two):
        node.expects_log("Redis cannot be reached|Redis is back|others read in Redis")
    room = await make_room(one, "ada", "bob", "eve")
    ada, bob = await connect(one, "ada"), await connect(two, "bob")
    eve, zoe = await connect(one, "eve"), await connect(two, "zoe")
    await ada.send_message(room, "one")
    await bob.expect("new_message", content="one")
    await bob.send_message(room, "two")
    await ada.expect("new_message", content="two")

    async def health() -> dict:
        http = Http(one.url, one.token("root", roles=["admin"]))
        try:
            return (await http.get("/api/v1/websocket/health")).body
        finally:
            http.close()

    async def failed_since(before: dict[str, float]) -> bool:
        name = "anmei_bus_failures_total"
        return (await metrics(one))[name] >= before[name] + 2

    for node in (one, two):
        await until_answer(lambda node=node: status(node), "ready")
    well = await health()
    assert (well["status"], well["nodes"], well["redis"]["writable"]) == ("healthy", 2, True)
    await asyncio.to_thread(redis_server.kill9)
    await until_answer(lambda: status(one), "degraded")
    ill = await health()
    assert (ill["status"], ill["redis"]["reachable"]) == ("degraded", False)
    assert {"bus", "redis"} <= ill["problems"].keys()
    await ada.send_message(room, "three")
    await eve.expect("new_message", content="three")
    await until_answer(lambda: status(two), "degraded")
    assert not bob.of_type("new_message", content="three")
    # From here on it is known there that something is missing.
    await bob.send_message(room, "four")
    unheard = await make_room(one, "ada", "zoe")
    await ada.send_message(unheard, "to zoe, who knows nothing of it")
    # What waits to be published would be when Redis is back: it is to be lost.
    lost = await metrics(one)
    await until_answer(lambda: failed_since(lost), True)
    assert not zoe.of_type("conversation_updated")
    await asyncio.to_thread(redis_server.start)
    await zoe.expect("new_message", conversation_id=unheard)
    assert [data["change_seq"] for data in zoe.of_type("conversation_updated")] == [1]
    await bob.expect("new_message", content="three")
    await ada.expect("new_message", content="four")
    await until_answer(lambda: status(one), "ready")
    await until_answer(lambda: status(two), "ready")
    await bob.send_message(room, "five")
    for client in (ada, bob, eve):
        await client.expect("new_message", content="five")
        assert client.gaps(room) == []
        contents = [message["content"] for message in client.messages(room)]
        assert contents == ["one", "two", "three", "four", "five"]


@pytest.mark.gen_test(timeout=100)
async def test_a_backend_reaches_a_user_on_whatever_node(
    postgres_url, redis_server, start, connect
):
    env = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_server.url}
    one, two = await start(env), await start(env)
    clients = [await connect(one, "ada"), await connect(two, "ada"), await connect(two, "bob")]
    for node in (one, two):
        await until_answer(lambda node=node: status(node), "ready")
    backend = redis.Redis.from_url(redis_server.url, protocol=2)
    channel = "user:ada:messages"
    body = {"channel": channel, "id": "1", "sent_at": time.time_ns() // 1_000_000}
    body |= {"type": "notification", "data": {"title": "hello"}}
    backend.publish(channel, signed(encode(body).decode(), SECRET))
    for client in clients[:2]:
        await client.expect("notification", title="hello")
    await clients[2].expect_nothing("notification")
    backend.close()
