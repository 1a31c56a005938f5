"""The bus over a real Redis: everything comes once, or a gap is announced."""

import asyncio
import contextlib
import logging
import time

import redis.asyncio

from actors.bus_outbox import MOST_WAITING
from actors.link_redis import RedisDown
from anmei.codec import encode
from anmei.envelope import Seal
from tests.actors.redis_nodes import SECRET, calm, until
from tests.anmei.test_outside import signed
from tests.support.servers import Redis


def client(server: Redis) -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(server.url, protocol=2)


def numbers(node) -> list[int]:
    return [envelope["n"] for envelope in node.got]


async def test_envelopes_reach_one_node_or_all_others_in_order(nodes):
    ada, bob, eve = [await nodes.start(name) for name in ("node_a", "node_b", "node_c")]
    await calm(ada, bob, eve)
    for n in range(100):
        ada.bus.publish("node_b", {"kind": "x", "n": n})
    ada.bus.publish_all({"kind": "x", "n": 100})
    await until(lambda: len(bob.got) == 101 and eve.got)
    assert numbers(bob) == list(range(101))
    assert numbers(eve) == [100]
    assert ada.got == ada.gaps == bob.gaps == eve.gaps == []


async def test_what_a_tick_brings_travels_in_one_publish(nodes):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    sent = ada.bus._outbox.sent  # to each node: besides, there are heartbeats to all
    before = sent.get("node_b", 0)
    for n in range(500):
        ada.bus.publish("node_b", {"kind": "x", "n": n})
    await until(lambda: len(bob.got) == 500)
    assert sent["node_b"] - before == 1


async def test_settled_means_that_all_others_have_handled_it(nodes):
    ada, bob, eve = [await nodes.start(name) for name in ("node_a", "node_b", "node_c")]
    await calm(ada, bob, eve)
    begun = time.monotonic()
    for n in range(50):
        ada.bus.publish_all({"kind": "x", "n": n})
        await ada.bus.settled()
        assert numbers(bob) == numbers(eve) == list(range(n + 1))
    assert time.monotonic() - begun < 25, "it waits for heartbeats"


async def test_a_node_alone_is_settled_at_once(nodes):
    ada = await nodes.start("node_a")
    await asyncio.wait_for(ada.bus.settled(), 0.05)


async def test_settled_waits_for_a_silent_node_no_longer_than_a_lease(nodes):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    await nodes.vanish(bob)
    begun = time.monotonic()
    await asyncio.wait_for(ada.bus.settled(), 30)
    assert time.monotonic() - begun > 1
    await until(lambda: not ada.bus.peers)
    await asyncio.wait_for(ada.bus.settled(), 8)


async def test_a_node_that_leaves_is_not_waited_for(nodes):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    await nodes.stop(bob)
    await asyncio.wait_for(ada.bus.settled(), 8)  # less than a lease


async def test_subscriptions_killed_a_hundred_times_cost_nothing_unseen(nodes, redis_server):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    killer = client(redis_server)
    sent_at = []
    for n in range(2_000):
        sent_at.append(ada.loop.time())
        ada.bus.publish("node_b", {"kind": "x", "n": n})
        if n % 20 == 10:
            await killer.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.002)
    await killer.aclose()
    await until(lambda: bob.bus.problem is None and ada.bus.problem is None)

    def lost() -> list[int]:
        return sorted(set(range(2_000)) - set(numbers(bob)))

    # For each that is missing, a gap is announced after it was sent.
    await until(lambda: bob.gaps and all(bob.gaps[-1] >= sent_at[n] for n in lost()))
    got = numbers(bob)
    assert got == sorted(set(got))
    # And soon enough, also for a busy machine.
    late = [n for n in lost() if not any(0 <= gap - sent_at[n] <= 10 for gap in bob.gaps)]
    assert late == []
    assert lost(), "nothing was lost, so nothing was tested"
    assert bob.counters.bus_connects > 10


async def test_redis_killed_and_started_empty_is_found_again(nodes, redis_server, expect_log):
    expect_log("Redis cannot be reached")
    expect_log("Redis is back")
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    redis_server.kill9()
    await until(lambda: ada.bus.problem is not None and bob.bus.problem is not None)
    assert ada.bus.problem.startswith("Redis cannot be reached")
    for n in range(10):
        ada.bus.publish("node_b", {"kind": "x", "n": n})
        await asyncio.sleep(0.02)
    died = ada.loop.time()
    await asyncio.sleep(1)
    redis_server.start()
    await until(lambda: ada.bus.problem is None and bob.bus.problem is None)
    await until(lambda: any(gap > died for gap in bob.gaps))
    bob.got.clear()
    ada.bus.publish("node_b", {"kind": "x", "n": 99})
    await until(lambda: 99 in numbers(bob))
    assert ada.counters.bus_failures > 0


async def test_redis_absent_at_the_start_is_joined_when_it_comes(nodes, redis_server, expect_log):
    expect_log("Redis cannot be reached")
    expect_log("Redis is back")
    redis_server.stop()
    begun = time.monotonic()
    ada = await nodes.start("node_a")
    assert time.monotonic() - begun < 20
    assert "Redis cannot be reached" in ada.bus.problem
    assert ada.presence.problem is not None
    ada.presence.enter("default/ada", "online", {"conn_1": 1})
    assert ada.presence.status("default/ada") == "online"
    await asyncio.wait_for(ada.bus.settled(), 1)
    redis_server.start()
    bob = await nodes.start("node_b")
    await until(lambda: ada.bus.problem is None and ada.presence.problem is None)
    await until(lambda: bob.presence.status("default/ada") == "online")
    assert bob.presence.nodes(["default/ada"]) == {"node_a"}


async def test_a_redis_that_stands_still_never_holds_anything_up(
    impatient, nodes, redis_server, expect_log
):
    expect_log("Redis cannot be reached")
    expect_log("Redis is back")
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    pauser = client(redis_server)
    await pauser.execute_command("CLIENT", "PAUSE", "10000", "ALL")
    await pauser.aclose()
    paused = ada.loop.time()
    longest = 0.0
    n = 0
    slowest_command = 0.0
    while ada.loop.time() - paused < 10:
        begun = time.thread_time()  # whatever else it might wait for fails the test by itself
        ada.bus.publish("node_b", {"kind": "x", "n": n})
        n += 1
        longest = max(longest, time.thread_time() - begun)
        if n % 100 == 1:
            begun = time.monotonic()
            with contextlib.suppress(RedisDown):
                await ada.bus.link.run([("PING",)])
            slowest_command = max(slowest_command, time.monotonic() - begun)
        await asyncio.sleep(0.005)
    assert longest < 0.05
    assert slowest_command < 8
    # A bounded number of tasks, however long it lasts.
    assert len(ada.supervisor) < 12
    await until(lambda: ada.bus.problem is None and bob.bus.problem is None)
    seen = len(numbers(bob))
    ada.bus.publish("node_b", {"kind": "x", "n": n})
    await until(lambda: n in numbers(bob))
    got = numbers(bob)
    assert got == sorted(set(got))
    assert seen < n
    assert any(gap > paused for gap in bob.gaps)


async def test_what_waits_is_bounded_and_what_is_let_go_is_missed(nodes):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    for n in range(MOST_WAITING + 500):
        ada.bus.publish("node_b", {"kind": "x", "n": n})
    # Something that the node says of itself may have waited in front of them.
    assert 500 <= ada.counters.bus_dropped <= 505
    came = MOST_WAITING + 500 - ada.counters.bus_dropped
    await until(lambda: len(bob.got) == came)
    await until(lambda: bob.gaps)
    assert numbers(bob) == list(range(came))


async def test_an_envelope_that_is_too_large_is_missed_and_nothing_else(nodes):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    ada.bus.publish("node_b", {"kind": "x", "n": 1, "data": "x" * 1_100_000})
    ada.bus.publish("node_b", {"kind": "x", "n": 2})
    await until(lambda: numbers(bob) == [2])
    await until(lambda: bob.gaps)


async def test_strangers_on_redis_can_forge_nothing(nodes, redis_server):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    stranger = client(redis_server)
    genuine = Seal([SECRET]).close("node_c", "node_b", 1, [encode({"kind": "x", "n": 7})])
    forgeries = [
        b"",
        b"\xff" * 100,
        b"x" * (2 * 1024 * 1024),
        b'{"from":"node_a","to":"node_b","n":99,"envelopes":[]}',
        Seal(["another secret than the one they share"]).close(
            "node_a", "node_b", 99, [encode({"kind": "x", "n": 666})]
        ),
        genuine[:-1] + b" ",
    ]
    for forgery in forgeries:
        await stranger.publish("anmei:node:node_b", forgery)
        await stranger.publish("anmei:all", forgery)
    # What one node was sent is of no use on another's channel.
    await stranger.publish("anmei:node:node_a", genuine)
    await stranger.publish("anmei:node:node_b", genuine)
    # And what came already is of none at all.
    await stranger.publish("anmei:node:node_b", genuine)
    await stranger.aclose()
    await until(lambda: bob.got)
    ada.bus.publish("node_b", {"kind": "x", "n": 8})
    await until(lambda: len(bob.got) == 2)
    assert numbers(bob) == [7, 8]
    assert bob.counters.bus_refused == 2 * len(forgeries)
    assert bob.counters.bus_repeats == 1
    await until(lambda: ada.counters.bus_refused == len(forgeries) + 1)
    assert ada.got == []


async def test_what_a_node_once_sent_to_all_moves_nobody_who_comes_later(nodes, redis_server):
    """A stranger keeps what passes on Redis, and says it again to a node that is new."""
    stranger = client(redis_server)
    listening = stranger.pubsub()
    await listening.subscribe("anmei:all")
    kept: list[bytes] = []
    ada = await nodes.start("node_a")
    ada.bus.publish_all({"kind": "kick", "user": "default/eve"})
    while not any(b"kick" in data for data in kept):
        message = await listening.get_message(ignore_subscribe_messages=True, timeout=5)
        kept += [message["data"]] if message else []
    await nodes.stop(ada)
    bob = await nodes.start("node_b")
    for data in kept:
        await stranger.publish("anmei:all", data)
    await listening.aclose()
    await stranger.aclose()
    await until(lambda: bob.counters.bus_received >= len(kept))
    eve = await nodes.start("node_c")
    eve.bus.publish_all({"kind": "x", "n": 1})
    await until(lambda: bob.got)
    assert [envelope["kind"] for envelope in bob.got] == ["x"]


async def test_nodes_with_an_older_and_a_newer_secret_hear_each_other(nodes):
    older, newer = "the older secret of these nodes ...", "the newer secret of these nodes ..."
    ada = await nodes.start("node_a", secrets=[older, newer])
    bob = await nodes.start("node_b", secrets=[newer, older])
    await calm(ada, bob)
    ada.bus.publish("node_b", {"kind": "x", "n": 1})
    bob.bus.publish("node_a", {"kind": "x", "n": 2})
    await until(lambda: (numbers(bob), numbers(ada)) == ([1], [2]))


async def test_a_link_that_is_starved_in_silence_is_given_up(
    impatient, nodes, redis_server, proxy, expect_log, caplog
):
    """Connections stay open and nothing comes: as behind a replica that is fed no more, or a
    firewall that forgot."""
    expect_log("Redis cannot be reached")
    expect_log("Redis is back")
    caplog.set_level(logging.INFO, "anmei.bus")
    between = proxy(redis_server.socket)
    ada = await nodes.start("node_a", f"unix://{between.socket}")
    bob = await nodes.start("node_b")
    await calm(ada, bob)
    connects = ada.counters.bus_connects
    between.pause("down")
    starved = ada.loop.time()
    await until(lambda: "did not hear itself" in caplog.text)
    assert ada.loop.time() - starved < 20
    between.resume()
    await until(lambda: ada.counters.bus_connects > connects)
    await until(lambda: any(gap > starved for gap in ada.gaps))
    bob.bus.publish("node_a", {"kind": "x", "n": 1})
    await until(lambda: 1 in numbers(ada) and ada.bus.problem is None)


async def test_a_backend_reaches_users_and_everybody(nodes, redis_server):
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    backend = client(redis_server)

    async def publish(channel: str, id: str, secret: str = SECRET) -> None:
        body = {"channel": channel, "id": id, "sent_at": time.time_ns() // 1_000_000}
        body |= {"type": "notification", "data": {"title": "你好"}}
        await backend.publish(channel, signed(encode(body).decode(), secret))

    await publish("user:ada:messages", "one")
    await publish("ws:broadcast", "two")
    await publish("ws:broadcast", "two")
    await publish("user:ada:messages", "three", "not the secret that they share ....")
    await publish("user:*:messages", "four")
    await backend.publish("ws:broadcast", b"\xff")
    await backend.aclose()
    for node in (ada, bob):
        await until(lambda node=node: node.counters.outside_refused == 4)
        event = {"type": "notification", "data": {"title": "你好"}}
        assert node.got == [
            {"kind": "users", "users": ["default/ada"], **event},
            {"kind": "tenant", "tenant": "default", **event},
        ]
        assert node.counters.outside == 2


async def test_a_receiver_that_fails_costs_the_others_nothing(nodes, expect_log):
    expect_log("an envelope of node_a failed")
    ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
    await calm(ada, bob)
    got = []

    def receive(envelope):
        if envelope["kind"] == "x":
            got.append(envelope["n"])
            assert envelope["n"] != 1
        else:
            bob.presence.receive(envelope)

    bob.bus.listen(receive, lambda: bob.gaps.append(bob.loop.time()))
    for n in range(3):
        ada.bus.publish("node_b", {"kind": "x", "n": n})
    await until(lambda: got == [0, 1, 2])
    await until(lambda: bob.gaps)
    assert bob.counters.crashes == 1
    bob.counters.crashes = 0
