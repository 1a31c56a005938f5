"""Presence over a real Redis: one table on all nodes, whatever dies, freezes or is emptied."""

import asyncio
import json
import random
import sys
from collections.abc import Callable, Iterator

import pytest
import redis.asyncio

from actors.presence import OFFLINE
from tests.actors.redis_nodes import calm, until, until_answer
from tests.support.child import Child
from tests.support.process import ROOT
from tests.support.servers import Redis


@pytest.fixture
def elsewhere(redis_server: Redis) -> Iterator[Callable[..., Child]]:
    """`elsewhere("node_x", 5)` is a process with a node that holds five users."""
    children: list[Child] = []

    def start(node_id: str, count: int) -> Child:
        child = Child(
            [sys.executable, "-m", "tests.actors.presence_process", redis_server.url]
            + [node_id, str(count)],
            cwd=ROOT,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.close()


def client(server: Redis) -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(server.url, protocol=2, decode_responses=True)


def online(node) -> int:
    return len(node.presence.online("default"))


async def ready(child: Child) -> None:
    await asyncio.to_thread(child.wait_for_line, "ready", 30)


async def test_every_node_knows_who_is_where(nodes):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    ada.presence.enter("default/u", "online", {"c1": 10})
    await ada.bus.settled()
    assert bob.presence.status("default/u") == "online"
    assert bob.presence.nodes(["default/u", "default/x"]) == {"node_a"}
    assert ada.presence.nodes(["default/u"]) == set()
    assert bob.told == ["default/u"]
    bob.presence.enter("default/u", "busy", {"c2": 20})
    await bob.bus.settled()
    assert ada.presence.status("default/u") == bob.presence.status("default/u") == "busy"
    assert set(ada.presence.seats("default/u")) == {"node_a", "node_b"}
    assert ada.told == ["default/u"]
    bob.presence.leave("default/u")
    await bob.bus.settled()
    assert ada.presence.status("default/u") == "online"
    ada.presence.leave("default/u")
    await ada.bus.settled()
    assert bob.presence.status("default/u") == OFFLINE
    assert bob.presence.online("default") == []
    assert ada.presence.problem is bob.presence.problem is None


async def test_a_node_that_comes_later_finds_everybody(nodes):
    ada = await nodes.start("node_a")
    for n in range(500):
        ada.presence.enter(f"default/u{n}", "away", {f"c{n}": n})
    ada.presence.enter("acme/u1", "dnd", {"c": 1})
    bob = await nodes.start("node_b")
    await until(lambda: online(bob) == 500)
    assert bob.presence.online("acme") == ["acme/u1"]
    assert bob.presence.status("default/u7") == "away"
    assert bob.presence.seats("default/u7") == ada.presence.seats("default/u7")


async def test_a_node_that_leaves_takes_its_users_with_it_at_once(nodes, redis_server):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    everyone = {f"default/u{n}" for n in range(250)}
    for n in range(250):
        ada.presence.enter(f"default/u{n}", "online", {f"c{n}": n})
    # The table is whole some ticks before the last of them is told of.
    await until(lambda: online(bob) == 250 and set(bob.told) == everyone)
    bob.told.clear()
    await nodes.stop(ada)
    assert await until(lambda: online(bob) == 0) < 8  # and not after a lease
    await until(lambda: set(bob.told) == everyone)
    reader = client(redis_server)
    assert await reader.keys("anmei:*node_a") == []
    assert await reader.smembers("ws:online_users") == set()
    await reader.aclose()


async def test_a_killed_node_is_dropped_in_one_step_within_a_lease(nodes, elsewhere, redis_server):
    ada = await nodes.start("node_a")
    ada.presence.enter("default/node_x_user1", "online", {"c": 5})
    child = elsewhere("node_x", 300)
    await ready(child)
    # The table is whole some ticks before the last of them is told of.
    await until(lambda: online(ada) == len(set(ada.told)) == 300)
    counts = set()
    ada.presence.on_change(lambda user_key: counts.add(online(ada)))
    child.kill9()
    await until(lambda: online(ada) == 1)
    await until(lambda: counts)
    assert counts == {1}
    # Whoever was here too was never offline.
    assert ada.presence.status("default/node_x_user1") == "online"
    reader = client(redis_server)
    await until_answer(lambda: reader.smembers("ws:online_users"), {"node_x_user1"})
    assert await reader.keys("*node_x") == []
    assert await reader.hkeys("online_users:node_x_user1") == ["c"]
    await reader.aclose()


async def test_a_frozen_node_is_dropped_and_comes_back_by_itself(nodes, elsewhere):
    ada = await nodes.start("node_a")
    child = elsewhere("node_x", 20)
    await ready(child)
    await until(lambda: online(ada) == 20)
    child.freeze()
    await until(lambda: online(ada) == 0)
    child.thaw()
    await until(lambda: online(ada) == 20)
    assert ada.presence.nodes(["default/node_x_user3"]) == {"node_x"}


async def test_a_redis_that_is_emptied_is_filled_again(nodes, redis_server):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    for n in range(50):
        ada.presence.enter(f"default/u{n}", "online", {f"c{n}": n})
    await until(lambda: online(bob) == 50)
    reader = client(redis_server)
    await reader.flushall()
    smallest = [50]
    ada.presence.on_change(lambda user_key: smallest.append(online(ada)))
    bob.presence.on_change(lambda user_key: smallest.append(online(bob)))
    await until_answer(lambda: reader.hlen("anmei:seats:node_a"), 51)
    await until_answer(lambda: reader.scard("ws:online_users"), 50)
    await until_answer(lambda: reader.exists("anmei:lease:node_a", "anmei:lease:node_b"), 2)
    await reader.aclose()
    # Nobody flickered, since both nodes were heard all the while.
    assert min(smallest) == 50
    late = await nodes.start("node_c")
    await until(lambda: online(late) == 50)


@pytest.mark.gen_test(timeout=110)
async def test_redis_lost_keeps_what_was_known_for_a_lease(nodes, redis_server, expect_log):
    expect_log("Redis cannot be reached")
    expect_log("Redis is back")
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    ada.presence.enter("default/u", "online", {"c": 1})
    bob.presence.enter("default/v", "online", {"d": 1})
    await until(lambda: online(bob) == 2)
    redis_server.kill9()
    lost = bob.loop.time()
    await until(lambda: bob.presence.problem is not None)
    assert bob.presence.status("default/u") == "online"
    # Meanwhile one leaves, and the other cannot know.
    ada.presence.leave("default/u")
    ada.presence.enter("default/w", "online", {"e": 1})
    await until(lambda: bob.presence.status("default/u") == OFFLINE)
    assert bob.loop.time() - lost > 5
    assert "unknown" in bob.presence.problem
    assert bob.presence.status("default/v") == "online"
    redis_server.start()
    await until(lambda: bob.presence.online("default") == ["default/v", "default/w"])
    await until(lambda: ada.presence.online("default") == ["default/v", "default/w"])
    await until(lambda: ada.presence.problem is None and bob.presence.problem is None)


async def test_what_the_bus_lost_is_read_again(nodes, redis_server):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    killer = client(redis_server)
    for n in range(400):
        ada.presence.enter(f"default/u{n}", "online", {f"c{n}": n})
        if n % 3:
            ada.presence.leave(f"default/u{n}")
        if n % 40 == 20:
            await killer.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.002)
    await killer.aclose()
    # A node that is kept from its work for a lease is waited for no longer, so `settled` is not
    # enough on a busy machine.
    await until(lambda: bob.presence.online("default") == ada.presence.online("default"))
    assert online(bob) == 134


async def test_a_node_that_leaves_when_it_is_about_to_be_read_is_not_read(nodes):
    bob = await nodes.start("node_b")
    word = {"kind": "presence", "node": "node_a"}
    bob.presence.receive({**word, "op": "state", "epoch": "e", "v": 3, "count": 1})
    bob.presence.receive({**word, "op": "bye"})
    await bob.bus.settled()
    assert bob.presence.others() == []


async def test_ten_thousand_comings_and_goings_on_two_nodes_end_in_the_right_state(nodes):
    """A phone that moves between two nodes within milliseconds: what counts is where it is."""
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    source = random.Random(7)
    here = {"node_a": {}, "node_b": {}}
    for n in range(10_000):
        node = source.choice((ada, bob))
        seats = here[node.bus.node_id]
        if source.random() < 0.5:
            seats[f"c{n}"] = n
            node.presence.enter("default/u", "online", dict(seats))
        elif seats:
            seats.clear()
            node.presence.leave("default/u")
        if n % 10 == 0:
            await asyncio.sleep(0)
    ada.presence.enter("default/u", "busy", {"last": 20_000})
    bob.presence.leave("default/u")
    # A node that is kept from its work for a lease is waited for no longer by `settled`.
    for node in (ada, bob):
        await until(lambda node=node: set(node.presence.seats("default/u")) == {"node_a"})
        await until(lambda node=node: node.presence.status("default/u") == "busy")
    for node in (ada, bob):
        assert set(node.presence.seats("default/u")) == {"node_a"}
        assert node.presence.status("default/u") == "busy"
    assert ada.presence.nodes(["default/u"]) == set()
    assert bob.presence.nodes(["default/u"]) == {"node_a"}


async def test_readers_outside_see_who_is_online(nodes, redis_server):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    reader = client(redis_server)
    news = reader.pubsub()
    await news.subscribe("ws:presence")
    await news.get_message(timeout=2)

    async def told() -> dict:
        async with asyncio.timeout(30):
            while (message := await news.get_message(True, timeout=1)) is None:
                pass
        return json.loads(message["data"])

    ada.presence.enter("default/u", "online", {"c1": 1_000})
    assert await told() == {"user_id": "u", "status": "online"}
    assert await reader.smembers("ws:online_users") == {"u"}
    line = json.loads(await reader.hget("online_users:u", "c1"))
    assert line == {
        "connected_at": "1970-01-01T00:00:01.000Z",
        "node": "node_a",
        "status": "online",
    }
    assert 0 < await reader.pttl("online_users:u") <= 60_000
    bob.presence.enter("default/u", "busy", {"c2": 2_000})
    bob.presence.enter("acme/u", "online", {"c3": 1})
    assert sorted([(await told())["user_id"], (await told())["user_id"]]) == ["acme/u", "u"]
    # What a node says when somebody leaves it hangs on whether it knows that he is elsewhere too.
    await bob.bus.settled()
    ada.presence.leave("default/u")
    await until_answer(lambda: reader.hkeys("online_users:u"), ["c2"])
    await ada.bus.settled()
    bob.presence.leave("default/u")
    assert await told() == {"user_id": "u", "status": "offline"}
    assert await reader.smembers("ws:online_users") == {"acme/u"}
    assert not await reader.exists("online_users:u")
    await news.aclose()
    await reader.aclose()


async def test_a_hash_that_none_of_ours_has_written_changes_nothing(nodes, redis_server):
    ada = await nodes.start("node_a")
    stranger = client(redis_server)
    await stranger.sadd("anmei:nodes", "node_z", "node:*", "x" * 500)
    await stranger.set("anmei:lease:node_z", "epoch")
    await stranger.hset(
        "anmei:seats:node_z",
        mapping={":state": '["epoch",1]', "default/*": '["online",{}]', "x": "[]", "a/b": "1"},
    )
    await asyncio.sleep(5)
    assert ada.presence.online("default") == []
    assert ada.presence.online("a") == []
    assert ada.counters.crashes == 0
    await stranger.aclose()


async def test_writes_of_a_tick_are_one_pipeline_however_many_they_are(nodes, redis_server):
    ada = await nodes.start("node_a")
    reader = client(redis_server)
    spent, written = [], 1
    for count in (10, 1_000):
        await asyncio.sleep(0.3)
        before = (await reader.info("commandstats"))["cmdstat_exec"]["calls"]
        for n in range(count):
            ada.presence.enter(f"default/u{count}_{n}", "online", {f"c{n}": n})
        written += count
        # Each count comes on top of the ones before, and beside them lies the state.
        await until_answer(lambda: reader.hlen("anmei:seats:node_a"), written)
        spent.append((await reader.info("commandstats"))["cmdstat_exec"]["calls"] - before)
    await reader.aclose()
    assert max(spent) <= 3
