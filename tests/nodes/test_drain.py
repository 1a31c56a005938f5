"""SIGTERM, while people talk."""

import asyncio
import contextlib

import psycopg2
import pytest
import redis

from tests.actors.redis_nodes import until_answer
from tests.support.raw_socket import RawSocket

TALKATIVE = {"ANMEI_LIMIT_FRAMES_PER_SECOND": "0", "ANMEI_DRAIN_TIMEOUT": "30000"}


@pytest.mark.gen_test(timeout=110)
async def test_a_drain_under_load_loses_nothing_and_tells_everybody_when_to_come_back(
    database_url, start, make_room, crowd, connect
):
    """P9 (row 2): no acknowledged message is lost, 4102 with a spread delay, exit status 0."""
    node = await start({"DATABASE_URL": database_url, **TALKATIVE})
    room = await make_room(node, "watcher", "alice", "bob", *(f"idle{n}" for n in range(20)))
    idle = [await connect(node, f"idle{number}") for number in range(20)]
    async with crowd(node, [room]) as people:
        people.observe("watcher", ["phone"], resume=True)
        people.send(["alice", "bob"])
        await people.more(30)
        status = await asyncio.to_thread(node.terminate)
        assert status == 0
        for client in idle:
            await client.expect_close(4102)
            assert client.farewell["reconnect"] is True
        delays = {client.farewell["retry_after_ms"] for client in idle}
        assert len(delays) > 5, f"everybody would come back at once: {delays}"
        assert min(delays) > 0
        await asyncio.to_thread(node.start)
        await people.more(10)
        await people.settle()
        await people.judge()


@pytest.mark.gen_test(timeout=100)
async def test_what_waits_for_a_busy_device_leaves_together_behind_no_answer_and_before_the_end(
    start, make_room, connect, metrics
):
    """P9, P2: a device that is sent to often is sent to less often, and misses nothing by it."""
    node = await start({"ANMEI_WRITE_RATE": "1", "ANMEI_WRITE_DELAY": "1000"})
    room = await make_room(node, "alice", "bob")
    alice, bob = await connect(node, "alice"), await connect(node, "bob")
    before = await metrics(node)
    for number in range(40):
        sent = await alice.send_message(room, str(number))
    await bob.ping()
    assert [message["content"] for message in bob.messages(room)] == [str(n) for n in range(40)]
    after = await metrics(node)
    # Alice is acknowledged each of them at once.
    flushes = after["anmei_flushes_total"] - before["anmei_flushes_total"]
    assert flushes < 40 + 30
    for number in range(40, 60):
        sent = await alice.send_message(room, str(number))
    assert await asyncio.to_thread(node.terminate) == 0
    await bob.expect_close(4102)
    seqs = [message["seq"] for message in bob.messages(room)]
    assert seqs == list(range(seqs[0], sent["seq"] + 1))
    assert len(seqs) == 60


@pytest.mark.gen_test(timeout=100)
async def test_a_client_that_never_reads_does_not_hold_up_a_stop(start, make_room, connect):
    """P9, P4: the stop ends inside its deadline with status 0, whatever a client does."""
    node = await start({"ANMEI_DRAIN_TIMEOUT": "20000"})
    room = await make_room(node, "alice", "sloth")
    headers = {"Authorization": f"Bearer {node.token('sloth')}"}
    sloth = await RawSocket.connect(node.port, headers=headers, receive_buffer=4096)
    sloth.stop_reading()
    alice = await connect(node, "alice")
    for _ in range(3):
        await alice.send_message(room, "x" * 60_000)
    # With status 0 only where it was done in time.
    assert await asyncio.to_thread(node.terminate) == 0
    await alice.expect_close(4102)
    page_token = node.token("alice")
    await asyncio.to_thread(node.start)
    back = await connect(node, "alice", token=page_token)
    page = await back.request("history", {"conversation_id": room})
    assert len(page["messages"]) == 3
    await sloth.close()


@pytest.mark.gen_test(timeout=100)
async def test_what_is_written_at_the_very_end_reaches_the_people_of_other_nodes(
    postgres, postgres_url, redis_server, start, make_room, connect
):
    """P9, P5: a node takes its leave of the others when all that it took is committed and told."""
    env = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_server.url}
    leaving, other = await start({**env, "ANMEI_DRAIN_TIMEOUT": "30000"}), await start(env)
    room = await make_room(leaving, "alice", "bob")
    alice, bob = await connect(leaving, "alice"), await connect(other, "bob")
    await alice.send_message(room, "first")
    await bob.expect("new_message", content="first")
    seen = redis.Redis.from_url(redis_server.url)

    async def waits() -> bool:
        return bool(postgres.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0])

    async def nodes() -> int:
        return len(seen.smembers("anmei:nodes"))

    blocker = await asyncio.to_thread(psycopg2.connect, postgres_url)
    with contextlib.closing(seen), contextlib.closing(blocker), blocker.cursor() as cursor:
        lock = "LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"
        await asyncio.to_thread(cursor.execute, lock)
        sending = asyncio.create_task(alice.send_message(room, "last"))
        await until_answer(waits, True)
        ending = asyncio.create_task(asyncio.to_thread(leaving.terminate))
        await alice.expect_close(4102)
        # Nobody is sent to this node any more; what it took is still to be written.
        await until_answer(nodes, 1)
        blocker.rollback()
        await bob.expect("new_message", content="last")
        assert await ending == 0
    await asyncio.gather(sending, return_exceptions=True)
