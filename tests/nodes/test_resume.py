"""Coming back: where a replay begins, what it holds, and how it becomes live."""

import asyncio

import pytest

from tests.support.raw_socket import RawSocket

FAST = {"ANMEI_LIMIT_FRAMES_PER_SECOND": "0"}


async def fill(client, room: str, count: int, size: int = 1) -> int:
    """Sends `count` messages at once; the last `seq`."""
    acks = await asyncio.gather(
        *(client.send_message(room, f"{number} " + "x" * size) for number in range(count))
    )
    return max(ack["seq"] for ack in acks)


async def test_a_client_that_promised_to_sync_and_does_not_is_served_from_the_servers_place(
    start, make_room, connect
):
    """P2: after ANMEI_SYNC_WAIT the server's own place counts; before it nothing durable comes."""
    node = await start({"ANMEI_SYNC_WAIT": "3000"})
    room = await make_room(node, "alice", "bob")
    alice, bob = await connect(node, "alice"), await connect(node, "bob", device_id="phone")
    first = await alice.send_message(room, "held")
    await bob.expect("new_message", content="held")
    await bob.request("delivered", {"conversation_id": room, "seq": first["seq"]})
    await bob.close()
    await alice.send_message(room, "missed")
    back = await connect(node, "bob", device_id="phone", resume=True)
    await alice.send_message(room, "meanwhile")
    assert back.messages(room) == []
    complete = await back.expect("sync_complete")
    assert complete["conversations"][room]["from"] == first["seq"]
    assert [message["content"] for message in back.messages(room)] == ["missed", "meanwhile"]
    await alice.send_message(room, "live")
    await back.expect("new_message", content="live")
    assert back.gaps(room) == []


async def test_nothing_durable_comes_before_the_sync(database_url, start, make_room, connect):
    """Section 6: with `?resume=client` the client's own word decides where the replay begins."""
    node = await start({"DATABASE_URL": database_url, "ANMEI_SYNC_WAIT": "60000"})
    room = await make_room(node, "alice", "bob")
    alice = await connect(node, "alice")
    last = await fill(alice, room, 5)
    bob = await connect(node, "bob", resume=True)
    await fill(alice, room, 2)
    assert bob.messages(room) == []
    report = await bob.sync({room: last})
    assert report["conversations"][room] == {
        "from": last,
        "to": last + 2,
        "count": 2,
        "reset": False,
    }
    assert [message["seq"] for message in bob.messages(room)] == [last + 1, last + 2]


async def test_a_backlog_over_the_limit_is_answered_with_the_newest_page(start, make_room, connect):
    """P2: `reset: true`, the newest page, and the rest by history, without a gap between them."""
    node = await start({"ANMEI_LIMIT_REPLAY": "60", **FAST})
    room = await make_room(node, "alice", "bob")
    alice = await connect(node, "alice")
    last = await fill(alice, room, 70)
    bob = await connect(node, "bob", resume=True)
    report = (await bob.sync({room: 1}))["conversations"][room]
    assert (report["reset"], report["to"]) == (True, last)
    shown = [message["seq"] for message in bob.messages(room)]
    assert shown == list(range(report["from"] + 1, last + 1))
    assert report["count"] == len(shown)
    older = await bob.request(
        "history", {"conversation_id": room, "before_seq": shown[0], "limit": 200}
    )
    assert [message["seq"] for message in older["messages"]] == list(range(2, shown[0]))
    within = (await bob.sync({room: last - 60}))["conversations"][room]
    assert (within["reset"], within["count"]) == (False, 60)


async def test_past_the_budget_of_a_sync_conversations_are_answered_with_their_newest_message(
    start, make_room, connect
):
    """P2: the first ones named have it; who missed no more than one event is never reset."""
    node = await start({"ANMEI_LIMIT_REPLAY_TOTAL": "4", **FAST})
    first, second, third, changed = [await make_room(node, "alice", "bob") for _ in range(4)]
    alice = await connect(node, "alice")
    lasts = [
        await fill(alice, room, count) for room, count in ((first, 4), (second, 5), (third, 1))
    ]
    sent = await alice.send_message(changed, "again and again")
    for number in range(5):
        content = f"edit {number}"
        edit = {"message_id": sent["message_id"], "content": content}
        to = (await alice.request("edit_message", edit))["change_seq"]
    bob = await connect(node, "bob", resume=True)
    await bob.sync({})
    places = {first: 1, second: 1, third: 1, changed: sent["seq"]}
    report = (await bob.sync(places))["conversations"]
    assert report == {
        first: {"from": 1, "to": lasts[0], "count": 4, "reset": False},
        second: {"from": lasts[1] - 1, "to": lasts[1], "count": 1, "reset": True},
        third: {"from": 1, "to": lasts[2], "count": 1, "reset": False},
        changed: {"from": sent["seq"], "to": to, "count": 1, "reset": False},
    }
    page = {"conversation_id": second, "before_seq": lasts[1], "limit": 200}
    older = (await bob.request("history", page))["messages"]
    assert [message["seq"] for message in older] == list(range(2, lasts[1]))
    await alice.send_message(second, "live")
    await bob.expect("new_message", content="live")
    back = await bob.sync({second: lasts[1], first: lasts[0]})
    assert back["conversations"][second] == {
        "from": lasts[1],
        "to": lasts[1] + 1,
        "count": 1,
        "reset": False,
    }


async def test_a_place_beyond_the_head_starts_the_client_afresh(node, make_room, connect):
    """P2: after a backup was restored the client knows more than the server: reset, then live."""
    room = await make_room(node, "alice", "bob")
    alice = await connect(node, "alice")
    last = await fill(alice, room, 3)
    bob = await connect(node, "bob", resume=True)
    await bob.send("sync", {"positions": {room: 9_000}}, "s")
    report = (await bob.expect("sync_complete"))["conversations"][room]
    assert (report["reset"], report["to"]) == (True, last)
    assert [message["seq"] for message in bob.messages(room)][-3:] == [last - 2, last - 1, last]
    await alice.send_message(room, "live")
    await bob.expect("new_message", content="live")


@pytest.mark.parametrize("outbound", ["16384", "262144"])
@pytest.mark.gen_test(timeout=110)
async def test_what_is_sent_during_a_long_replay_follows_it_in_order(
    database_url, start, make_room, connect, outbound
):
    """P2: attach, then replay, then live; with a queue far smaller than the backlog too, where
    what is held overflows and is read again."""
    node = await start(
        {"DATABASE_URL": database_url, "ANMEI_LIMIT_OUTBOUND_BYTES": outbound, **FAST}
    )
    room = await make_room(node, "alice", "bob")
    alice = await connect(node, "alice", resume=True)
    await fill(alice, room, 300, size=1_000)
    devices = [await connect(node, "bob", resume=True) for _ in range(3)]
    syncing = [asyncio.create_task(device.sync({room: 0})) for device in devices]
    writer = await connect(node, "alice", resume=True)
    for number in range(60):
        await writer.send_message(room, f"live {number} " + "x" * 1_000)
    last = (await writer.send_message(room, "the end"))["seq"]
    for device, sync in zip(devices, syncing, strict=True):
        report = (await sync)["conversations"][room]
        assert report["reset"] is False
        await device.expect("new_message", content="the end")
        seqs = [message["seq"] for message in device.messages(room)]
        assert seqs == list(range(2, last + 1))
        complete = [event.type for event in device.events].index("sync_complete")
        # It may be live for a moment before it is told that it is.
        counted = sum(
            event.type in ("new_message", "conversation_updated")
            and event.data["change_seq"] <= report["to"]
            for event in device.events[:complete]
        )
        assert report["count"] == counted == report["to"] - report["from"]


@pytest.mark.gen_test(timeout=110)
async def test_a_replay_to_a_device_that_reads_in_bursts_is_whole(start, make_room, connect):
    """P2, P4: the replay waits for a reader that pauses; it does not end it and skips nothing."""
    node = await start(FAST)
    room = await make_room(node, "alice", "bob")
    alice = await connect(node, "alice", resume=True)
    for _ in range(4):
        await fill(alice, room, 100, size=10_000)
    token = node.token("bob")
    raw = await RawSocket.connect(
        node.port,
        "/ws/chat?resume=client",
        {"Authorization": f"Bearer {token}"},
        receive_buffer=8_192,
    )
    sync = f'{{"type":"sync","id":"s","data":{{"positions":{{"{room}":0}}}}}}'
    await raw.send_frame(1, sync.encode())
    await raw.read_frame()
    raw.stop_reading()
    # The server has meanwhile read the store and filled what the kernel takes; then we go on.
    await alice.send_message(room, "live")
    await asyncio.sleep(0.5)
    raw.go_on_reading()
    seqs = []
    async with asyncio.timeout(60):
        while (frame := await raw.read_frame(30)) is not None:
            text = frame.payload.decode()
            if frame.opcode == 1 and '"type":"new_message"' in text:
                seqs.append(int(text.partition('"seq":')[2].partition(",")[0]))
            if '"content":"live"' in text:
                break
    assert seqs == list(range(2, 403))
    await raw.close()


async def test_a_known_device_misses_nothing_that_only_another_one_acknowledged(
    node, make_room, connect
):
    """P2: what the laptop acknowledged while the phone was away still comes to the phone; a device
    that was never there begins where the user is."""
    old = await make_room(node, "alice", "bob")
    alice, phone = await connect(node, "alice"), await connect(node, "bob", device_id="phone")
    first = await alice.send_message(old, "to both")
    await phone.expect("new_message", content="to both")
    await phone.request("delivered", {"conversation_id": old, "seq": first["seq"]})
    await phone.close()
    new = await make_room(node, "alice", "bob")
    laptop = await connect(node, "bob", device_id="laptop")
    last = await fill(alice, new, 5)
    await laptop.request("delivered", {"conversation_id": new, "seq": last})
    back = await connect(node, "bob", device_id="phone")
    complete = await back.expect("sync_complete")
    assert complete["conversations"] == {
        new: {"from": 0, "to": last, "count": last, "reset": False}
    }
    assert [message["seq"] for message in back.messages(new)] == list(range(2, last + 1))
    tablet = await connect(node, "bob", device_id="tablet")
    assert (await tablet.expect("sync_complete"))["conversations"] == {}
