"""PostgreSQL stopped, cut, locked and hung under a running server."""

import asyncio
import contextlib
import time

import psycopg2
import pytest

from tests.actors.redis_nodes import until_answer
from tests.support.client import RequestFailed
from tests.support.regulars import read_history
from tests.support.servers import database_of

#: What the log may say while there is no database, and afterwards.
OUTAGE = (
    r"WARNING anmei\.archive: the store (cannot be reached|is back)",
    r"WARNING anmei\.archive the store (cannot be reached|is back)",
    r"WARNING anmei\.db.{0,2}the database is unavailable",
    r"WARNING anmei\.repair .* could not be (read|compared)",
    # The driver's own, of a connection that ends while it is being made.
    r"^WARNING:  terminating connection due to",
)
FAST = {"ANMEI_LIMIT_FRAMES_PER_SECOND": "0", "ANMEI_LIMIT_REPLAY": "10000"}
#: A generous "at once", in seconds: the machine may be busy.
AT_ONCE = 20.0


def expect_outage(node) -> None:
    for pattern in OUTAGE:
        node.expects_log(pattern)


async def settled(connect, node, user: str):
    """A device whose replay is over, so that what happens to the database is not in its way."""
    client = await connect(node, user)
    await client.expect("sync_complete")
    return client


async def refused(request) -> RequestFailed:
    """The refusal of a request, which must come at once and be one that may be tried again."""
    began = time.monotonic()
    with pytest.raises(RequestFailed) as caught:
        await request
    assert time.monotonic() - began < AT_ONCE
    assert caught.value.retryable, caught.value.error
    return caught.value


async def until_served(client, room: str, timeout: float = 50) -> dict:
    """The ack of the first message that is taken again."""
    async with asyncio.timeout(timeout):
        while True:
            with contextlib.suppress(RequestFailed):
                return await client.send_message(room, "back", "back-1")
            await asyncio.sleep(0.05)


@pytest.mark.gen_test(timeout=110)
async def test_without_a_database_sends_fail_at_once_and_typing_goes_on(
    own_postgres, start, make_room, connect, backend
):
    """P6 (row 22): refused with a retryable error, live whispers go on, service resumes alone."""
    node = await start({"DATABASE_URL": own_postgres.create_database()})
    expect_outage(node)
    room = await make_room(node, "alice", "bob")
    alice, bob = await settled(connect, node, "alice"), await settled(connect, node, "bob")
    kept = await alice.send_message(room, "before")
    await bob.expect("new_message", content="before")
    await asyncio.to_thread(own_postgres.stop, immediate=True)
    first = await refused(alice.send_message(room, "lost?", "m-lost"))
    assert first.code == "unavailable"
    assert (await refused(alice.send_message(room, "lost?", "m-lost"))).code == "unavailable"
    history = await refused(alice.request("history", {"conversation_id": room}))
    assert history.code == "unavailable"
    await alice.request("typing", {"conversation_id": room, "is_typing": True})
    await bob.expect("typing", user_id="alice", is_typing=True)
    late = await connect(node, "bob", wait=False)
    await late.expect_close(4100)
    assert late.farewell["retry_after_ms"] > 0
    ready = await backend(node, "GET", "/readyz")
    assert (ready.status, ready.body["checks"]["database"]) == (503, "down")
    posted = await backend(
        node,
        "POST",
        f"/api/v1/conversations/{room}/messages",
        {"content": "by http"},
        token=node.token("alice"),
    )
    assert (posted.status, posted.error) == (503, "unavailable")
    await asyncio.to_thread(own_postgres.start)
    await until_served(alice, room)
    await bob.expect("new_message", content="back")
    ack = await alice.send_message(room, "lost?", "m-lost")
    messages = await read_history(alice, room)
    assert [message["content"] for message in messages] == ["before", "back", "lost?"]
    assert (messages[0]["id"], messages[2]["id"]) == (kept["message_id"], ack["message_id"])

    async def answered() -> int:
        return (await backend(node, "GET", "/readyz")).status

    await until_answer(answered, 200)


@pytest.mark.gen_test(timeout=110)
async def test_nothing_acknowledged_is_missing_after_the_database_was_stopped_under_load(
    own_postgres, start, make_room, crowd
):
    """P1, P2, P6 (row 22): the database goes twice at once, and comes back by itself."""
    node = await start({"DATABASE_URL": own_postgres.create_database(), **FAST})
    expect_outage(node)
    rooms = [await make_room(node, "watcher", "alice", "bob", "carol") for _ in range(2)]
    async with crowd(node, rooms) as people:
        people.observe("watcher", ["phone"], resume=True)
        people.observe("watcher", ["tablet"], resume=False)
        people.send(["alice", "bob", "carol"])
        for _ in range(2):
            await people.more(40)
            await asyncio.to_thread(own_postgres.stop, immediate=True)
            await people.refusals(3)
            await asyncio.to_thread(own_postgres.start)
        await people.more(40)
        await people.settle()
        await people.judge()


@pytest.mark.gen_test(timeout=110)
async def test_sessions_that_are_ended_all_the_time_cost_nobody_a_message(
    postgres, postgres_url, start, make_room, crowd
):
    """P6 (row 23): each thread opens another connection, and no broken one is used again."""
    node = await start({"DATABASE_URL": postgres_url, **FAST})
    for pattern in OUTAGE:
        node.expects_log(pattern)
    rooms = [await make_room(node, "watcher", "alice", "bob") for _ in range(2)]
    async with crowd(node, rooms) as people:
        people.observe("watcher", ["phone"], resume=True)
        people.send(["alice", "bob"])
        for _ in range(8):
            await people.more(5)
            await asyncio.to_thread(postgres.terminate_sessions, postgres_url)
            await asyncio.sleep(0.3)
        await people.more(20)
        await people.settle()
        await people.judge()


@pytest.mark.gen_test(timeout=110)
async def test_an_ambiguous_commit_is_one_message_which_everybody_sees_without_a_retry(
    postgres, postgres_url, proxy, start, make_room, connect
):
    """P6, P3 (row 24): COMMIT is done, its answer is lost and so is the link; the sender is told
    to try again and never does. The message is there once, and the others are shown it."""
    middle = await asyncio.to_thread(proxy, postgres.socket)
    url = postgres_url.replace(str(postgres.directory), str(middle.socket.parent))
    node = await start({"DATABASE_URL": url})
    expect_outage(node)
    room = await make_room(node, "alice", "bob")
    alice, bob = await settled(connect, node, "alice"), await settled(connect, node, "bob")
    await alice.send_message(room, "before")
    await bob.expect("new_message", content="before")
    sprung = middle.cut_after(b"COMMIT", behind=b"m-doubt", then_refuse=True)
    await refused(alice.send_message(room, "in doubt", "m-doubt"))
    await asyncio.wrap_future(sprung)
    count = "SELECT count(*) FROM messages WHERE client_msg_id = 'm-doubt'"
    rows = await asyncio.to_thread(postgres.execute, count, database=database_of(postgres_url))
    assert rows == [(1,)], "the trap did not leave the message committed"
    await asyncio.to_thread(middle.accept)
    shown = await bob.expect("new_message", content="in doubt")
    await alice.expect("new_message", content="in doubt")
    again = await alice.send_message(room, "in doubt", "m-doubt")
    assert (again["seq"], again["message_id"]) == (shown["seq"], shown["id"])
    assert again["duplicate"] is True
    await alice.send_message(room, "after")
    await bob.expect("new_message", content="after")
    contents = [message["content"] for message in bob.messages(room)]
    assert contents == ["before", "in doubt", "after"]


@pytest.mark.gen_test(timeout=110)
async def test_a_commit_whose_answer_is_lost_is_settled_on_a_second_connection(
    postgres, postgres_url, proxy, start, make_room, connect
):
    """P6, P3 (row 24): where the link comes back at once, the sender notices nothing."""
    middle = await asyncio.to_thread(proxy, postgres.socket)
    url = postgres_url.replace(str(postgres.directory), str(middle.socket.parent))
    node = await start({"DATABASE_URL": url})
    room = await make_room(node, "alice", "bob")
    alice, bob = await settled(connect, node, "alice"), await settled(connect, node, "bob")
    await alice.send_message(room, "before")
    sprung = middle.cut_after(b"COMMIT", behind=b"m-doubt")
    ack = await alice.send_message(room, "in doubt", "m-doubt")
    await asyncio.wrap_future(sprung)
    shown = await bob.expect("new_message", content="in doubt")
    assert (shown["id"], shown["seq"]) == (ack["message_id"], ack["seq"])
    messages = await read_history(alice, room)
    assert [message["content"] for message in messages] == ["before", "in doubt"]


@pytest.mark.gen_test(timeout=110)
async def test_a_locked_table_holds_up_sends_and_not_the_loop(
    postgres, postgres_url, start, make_room, connect
):
    """P6, I8 (row 26): statements give up in time, pings are answered meanwhile, then it heals."""
    node = await start({"DATABASE_URL": postgres_url, "ANMEI_DB_TIMEOUT": "1500"})
    expect_outage(node)
    room = await make_room(node, "alice", "bob")
    alice, bob = await settled(connect, node, "alice"), await settled(connect, node, "bob")
    await alice.send_message(room, "before")
    blocker = await asyncio.to_thread(psycopg2.connect, postgres_url)
    with contextlib.closing(blocker), blocker.cursor() as cursor:
        lock = "LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"
        await asyncio.to_thread(cursor.execute, lock)
        sending = asyncio.create_task(refused(alice.send_message(room, "held up", "m-held")))
        waits = await ping_until(bob, sending)
        assert (await sending).code == "unavailable"
        assert len(waits) > 5, "the loop stood still"
        assert sorted(waits)[len(waits) // 2] < 1
        blocker.rollback()
    await until_served(alice, room)
    await alice.send_message(room, "held up", "m-held")
    await bob.expect("new_message", content="held up")


@pytest.mark.gen_test(timeout=110)
async def test_a_database_that_hangs_holds_up_neither_the_loop_nor_the_refusals(
    postgres, postgres_url, proxy, start, make_room, connect
):
    """P6, I8: nothing passes in either direction and nobody says so; sends are refused in time,
    pings are answered, and when the link moves again everything is served."""
    middle = await asyncio.to_thread(proxy, postgres.socket)
    url = postgres_url.replace(str(postgres.directory), str(middle.socket.parent))
    node = await start({"DATABASE_URL": url, "ANMEI_DB_TIMEOUT": "1500"})
    expect_outage(node)
    room = await make_room(node, "alice", "bob")
    alice, bob = await settled(connect, node, "alice"), await settled(connect, node, "bob")
    await alice.send_message(room, "before")
    middle.pause()
    sending = asyncio.create_task(refused(alice.send_message(room, "held up", "m-held")))
    reading = asyncio.create_task(refused(bob.request("history", {"conversation_id": room})))
    waits = await ping_until(bob, sending)
    assert (await sending).code == "unavailable"
    assert (await reading).code == "timeout"
    assert sorted(waits)[len(waits) // 2] < 1
    middle.resume()
    await until_served(alice, room)
    await alice.send_message(room, "held up", "m-held")
    await bob.expect("new_message", content="held up")
    contents = [message["content"] for message in await read_history(alice, room)]
    assert sorted(contents) == ["back", "before", "held up"]


async def test_a_sync_that_the_database_cannot_answer_leaves_no_device_deaf(
    own_postgres, start, make_room, connect
):
    """P2, P6: a device that asked in vain is not left waiting behind a replay that never ends."""
    node = await start({"DATABASE_URL": own_postgres.create_database()})
    expect_outage(node)
    room = await make_room(node, "alice", "bob")
    alice, bob = await settled(connect, node, "alice"), await settled(connect, node, "bob")
    await alice.send_message(room, "before")
    await bob.expect("new_message", content="before")
    await asyncio.to_thread(own_postgres.stop, immediate=True)
    await bob.request("sync", {"positions": {room: 0}})
    await bob.expect_close(4100)
    assert bob.farewell["retry_after_ms"] > 0
    await asyncio.to_thread(own_postgres.start)
    await until_served(alice, room)
    back = await connect(node, "bob", resume=True)
    await back.sync({room: bob.place(room)})
    await alice.send_message(room, "after")
    await back.expect("new_message", content="after")
    assert [message["content"] for message in back.messages(room)] == ["back", "after"]


async def ping_until(client, task: asyncio.Task) -> list[float]:
    """How long each ping took, in seconds, until the task was done."""
    waits = []
    while not task.done():
        began = time.monotonic()
        await client.ping()
        waits.append(time.monotonic() - began)
        await asyncio.sleep(0.005)
    return waits
