"""Devices that read slowly, stop reading, fall silent or die, among others that do not."""

import asyncio
import time

import pytest

from tests.support.client import Client
from tests.support.raw_socket import RawSocket
from tests.support.regulars import BROKEN, read_history

MEGABYTE = 1024 * 1024
LONG = "x" * 60_000


async def dial(node, user: str, **options) -> RawSocket:
    headers = {"Authorization": f"Bearer {node.token(user)}"}
    return await RawSocket.connect(node.port, headers=headers, **options)


async def until(condition, timeout: float = 30) -> None:
    """Awaits `condition()` until it holds."""
    async with asyncio.timeout(timeout):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def closed(metrics, node, code: int, count: int):
    async def check() -> bool:
        name = f'anmei_closes_total{{code="{code}"}}'
        return (await metrics(node)).get(name, 0) >= count

    return check


async def slowest(client: Client, rounds: int = 30) -> float:
    """The longest of some pings, in seconds."""
    worst = 0.0
    for _ in range(rounds):
        began = time.monotonic()
        await client.ping()
        worst = max(worst, time.monotonic() - began)
    return worst


@pytest.mark.gen_test(timeout=110)
async def test_twenty_readers_that_stopped_cost_the_others_nothing_and_lose_nothing(
    start, make_room, connect, metrics
):
    """P4 (row 10; I7, I8): each is closed with 4200, memory stays bounded, the others' waits do
    not grow, and one that comes back finds everything."""
    node = await start(
        {"ANMEI_LIMIT_OUTBOUND_BYTES": "131072", "ANMEI_LIMIT_FRAMES_PER_SECOND": "0"}
    )
    sloths = [f"sloth{number}" for number in range(20)]
    room = await make_room(node, "alice", "bob", *sloths)
    alice, bob = await connect(node, "alice"), await connect(node, "bob")
    stalled = []
    for user in sloths:
        raw = await dial(node, user, receive_buffer=4096)
        raw.stop_reading()
        stalled.append(raw)
    await until(lambda: has_connections(metrics, node, 22))
    before, memory = await slowest(bob), node.rss()
    waits = []
    # More than the kernel takes for each of them.
    for _ in range(150):
        began = time.monotonic()
        sent = await alice.send_message(room, LONG)
        await bob.expect("new_message", seq=sent["seq"])
        waits.append(time.monotonic() - began)
    await until(closed(metrics, node, 4200, 20))
    assert node.rss() - memory < 60 * MEGABYTE, "what they do not read is kept for them"
    assert sorted(waits)[len(waits) // 2] < max(1.0, 20 * before)
    back = await connect(node, "sloth0", resume=True)
    report = await back.sync({room: 0})
    assert report["conversations"][room]["reset"] is False
    messages = back.messages(room)
    assert [message["seq"] for message in messages] == list(range(2, sent["seq"] + 1))
    for raw in stalled:
        await raw.close()


async def has_connections(metrics, node, count: int) -> bool:
    return (await metrics(node)).get("anmei_connections_open") == count


@pytest.mark.gen_test(timeout=100)
async def test_a_reader_that_keeps_up_is_sent_frames_larger_than_the_queue(
    small_node, make_room, connect
):
    """P4: a page of long messages, and one that is long as JSON, arrive at a device that reads:
    only what waits counts, or such a user could never catch up."""
    rooms = [await make_room(small_node, "alice", "bob") for _ in range(8)]
    alice = await connect(small_node, "alice")
    for room in rooms:
        await alice.send_message(room, LONG)
    for _ in range(7):
        await alice.send_message(rooms[0], LONG)
    bob = await connect(small_node, "bob", resume=True)
    heads = bob.established["conversations"]
    assert {len(head["last_message"]["content"]) for head in heads} == {2_048}  # a glance
    assert len(await read_history(bob, rooms[0])) == 8
    report = await bob.sync(dict.fromkeys(rooms, 0))
    assert sum(line["count"] for line in report["conversations"].values()) == 8 + 15
    # Each of these characters takes six bytes as JSON: the frame is larger than its content.
    await alice.send_message(rooms[1], "\x01" * 43_000, extra_metadata={"note": "y" * 1_000})
    await bob.expect("new_message", conversation_id=rooms[1], seq=3)


@pytest.mark.gen_test(timeout=100)
async def test_a_peer_that_falls_silent_is_ended_and_counted(
    start, proxy, make_room, connect, metrics
):
    """P4 (rows 8, 9): no end of the connection is ever seen; the heartbeat ends it with 4201, the
    others stay, and nothing is lost for when it comes back."""
    env = {"WS_HEARTBEAT_INTERVAL": "300", "WS_CONNECTION_TIMEOUT": "6000"}
    node = await start({**env, "ANMEI_PRESENCE_GRACE": "0"})
    room = await make_room(node, "alice", "bob")
    alice = await connect(node, "alice")
    middle = await asyncio.to_thread(proxy, node.port)
    far = await Client.connect(f"ws://127.0.0.1:{middle.port}/ws/chat", node.token("bob"))
    await alice.expect("user_status_update", user_id="bob", status="online")
    middle.pause()
    await alice.send_message(room, "are you there?")
    await until(closed(metrics, node, 4201, 1))
    await alice.expect("user_status_update", user_id="bob", status="offline")
    await alice.ping()
    assert not alice.closed
    await far.abort()
    back = await connect(node, "bob", resume=True)
    await back.sync({room: 0})
    assert [message["content"] for message in back.messages(room)] == ["are you there?"]


@pytest.mark.gen_test(timeout=110)
async def test_one_that_dies_in_the_middle_of_a_fan_out_disturbs_none_of_the_others(
    start, make_room, connect
):
    """P4 (row 11): of 200 the other 199 get every message."""
    node = await start({"ANMEI_LIMIT_PRESENCE_MEMBERS": "0"})
    users = [f"user{number}" for number in range(199)]
    room = await make_room(node, "alice", "dying", *users)
    dying = await dial(node, "dying")
    others = await asyncio.gather(*(connect(node, user, timeout=60) for user in users))
    alice = await connect(node, "alice")
    sending = [asyncio.create_task(alice.send_message(room, f"m{number}")) for number in range(20)]
    await dying.reset()
    await asyncio.gather(*sending)
    for other in others:
        await other.expect("new_message", content="m19", timeout=60)
        seqs = [message["seq"] for message in other.messages(room)]
        assert seqs == list(range(2, 22))


@pytest.mark.gen_test(timeout=110)
async def test_three_hundred_abrupt_ends_leave_nothing_behind(start, make_room, connect, metrics):
    """I7: in the middle of the handshake, of the welcome, of a replay, of a request and of
    nothing; connections, files and tasks return to where they were."""
    node = await start({"ANMEI_PRESENCE_GRACE": "0", "ANMEI_LIMIT_CONNECTIONS_PER_USER": "50"})
    room = await make_room(node, "alice", "bob")
    alice = await connect(node, "alice")
    for number in range(100):
        await alice.send_message(room, f"{number} " + "x" * 2_000)
    headers = {"Authorization": f"Bearer {node.token('bob')}"}

    async def half_a_handshake() -> None:
        raw = await RawSocket.dial(node.port)
        await raw.send_bytes(b"GET /ws/chat HTTP/1.1\r\nUpgrade: websocket\r\n")
        await raw.reset()

    async def no_welcome() -> None:
        raw = await RawSocket.connect(node.port, headers=headers)
        await raw.reset()

    async def half_a_welcome() -> None:
        raw = await RawSocket.connect(node.port, headers=headers)
        await raw.read_frame()
        await raw.reset()

    async def half_a_replay() -> None:
        raw = await RawSocket.connect(node.port, "/ws/chat?resume=client", headers)
        sync = f'{{"type":"sync","id":"s","data":{{"positions":{{"{room}":0}}}}}}'
        await raw.send_frame(1, sync.encode())
        for _ in range(5):
            await raw.read_frame()
        await raw.reset()

    async def half_a_request() -> None:
        raw = await RawSocket.connect(node.port, headers=headers)
        history = f'{{"type":"history","id":"h","data":{{"conversation_id":"{room}"}}}}'
        await raw.send_frame(1, history.encode())
        await raw.reset()

    async def half_a_frame() -> None:
        raw = await RawSocket.connect(node.port, headers=headers)
        await raw.send_frame(1, b'{"type":', claimed_length=5000)
        await raw.close()

    races = [
        half_a_handshake,
        no_welcome,
        half_a_welcome,
        half_a_replay,
        half_a_request,
        half_a_frame,
    ]

    async def storm(rounds: int) -> None:
        for _ in range(rounds):
            ends = await asyncio.gather(*(race() for race in races), return_exceptions=True)
            assert all(end is None or isinstance(end, BROKEN) for end in ends), ends

    async def calm() -> tuple[int, float]:
        await until(lambda: has_connections(metrics, node, 1))
        # The request for the metrics holds a connection of its own.
        await until(lambda: settled(node))
        return node.child.open_files(), node.rss()

    await storm(5)
    files, memory = await calm()
    await storm(50)
    _, memory_after = await calm()

    async def returned() -> bool:
        return node.child.open_files() <= files + 2

    await until(returned)
    assert memory_after - memory < 30 * MEGABYTE
    await alice.send_message(room, "still here")
    assert (await metrics(node))["anmei_crashes_total"] == 0


async def settled(node) -> bool:
    count = node.child.open_files()
    await asyncio.sleep(0.1)
    return node.child.open_files() == count


@pytest.mark.gen_test(timeout=100)
async def test_a_burst_that_is_committed_at_once_does_not_make_a_quick_reader_slow(
    database_url, start, make_room, connect
):
    """P4: only what the kernel did not take counts as waiting, and not what one transaction, or
    one turn of the loop, has brought."""
    env = {"ANMEI_LIMIT_FRAMES_PER_SECOND": "0", "ANMEI_LIMIT_OUTBOUND_BYTES": "16384"}
    node = await start({"DATABASE_URL": database_url, **env})
    room = await make_room(node, "alice", "bob")
    alice, bob = await connect(node, "alice"), await connect(node, "bob")
    acks = await asyncio.gather(
        *(alice.send_message(room, f"{number} " + "x" * 1_000) for number in range(200))
    )
    assert sorted(ack["seq"] for ack in acks) == list(range(2, 202))
    await bob.expect("new_message", seq=201)
    assert [message["seq"] for message in bob.messages(room)] == list(range(2, 202))


@pytest.mark.gen_test(timeout=100)
async def test_a_link_that_passes_one_byte_at_a_time_changes_nothing(
    small_node, proxy, make_room, connect
):
    """P2 (row 33): frames arrive whole, whatever pieces the network makes of them."""
    room = await make_room(small_node, "alice", "bob")
    alice = await connect(small_node, "alice")
    middle = await asyncio.to_thread(proxy, small_node.port)
    middle.dribble["up"] = middle.dribble["down"] = True
    token = small_node.token("bob")
    far = await Client.connect(f"ws://127.0.0.1:{middle.port}/ws/chat", token, timeout=60)
    sent = await far.send_message(room, "one byte at a time \u00e9\u6f22")
    shown = await alice.expect("new_message", seq=sent["seq"])
    assert shown["content"] == "one byte at a time \u00e9\u6f22"
    await alice.send_message(room, "back")
    await far.expect("new_message", content="back")
    await far.close()
