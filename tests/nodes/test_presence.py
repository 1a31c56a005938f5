"""Presence is exact, and nobody's business but that of people who share a conversation."""

import time

import pytest

from tests.support.raw_socket import RawSocket

GRACE = {"ANMEI_PRESENCE_GRACE": "400"}


def statuses(client, user_id: str) -> list[str]:
    return [
        event.data["status"]
        for event in client.events
        if event.type == "user_status_update" and event.data["user_id"] == user_id
    ]


async def test_coming_and_a_clean_goodbye_are_told_at_once(small_node, make_room, connect):
    """P7: online on arrival, offline without a grace time after close 1000, with the name."""
    await make_room(small_node, "alice", "bob")
    alice = await connect(small_node, "alice")
    bob = await connect(small_node, "bob", name="Bob B.")
    came = await alice.expect("user_status_update", user_id="bob", status="online")
    assert came["name"] == "Bob B."
    await bob.close(1000)
    went = await alice.expect("user_status_update", user_id="bob", status="offline")
    assert went["last_seen_at"]


async def test_a_reconnect_within_the_grace_time_never_flickers(start, make_room, connect):
    """P7: a link that breaks and comes back is no news."""
    node = await start({"ANMEI_PRESENCE_GRACE": "60000"})
    await make_room(node, "alice", "bob")
    alice = await connect(node, "alice")
    for _ in range(3):
        bob = await connect(node, "bob")
        await bob.abort()
    await connect(node, "bob")
    await alice.ping()
    assert statuses(alice, "bob") == ["online"]


@pytest.mark.gen_test(timeout=60)
async def test_a_flapping_link_leaves_no_ghost(start, make_room, connect):
    """P7: whoever breaks off again before he was welcomed is offline when the grace time ends."""
    node = await start(GRACE)
    names = [f"bob{number}" for number in range(8)]
    await make_room(node, "alice", *names)
    alice = await connect(node, "alice")
    for name in names:
        bob = await connect(node, name)
        await bob.abort()
        raw = await RawSocket.connect(node.port, f"/ws/chat?token={node.token(name)}")
        await raw.reset()
    for name in names:
        # Where the machine is slow, a grace time ends between the two.
        await alice.expect("user_status_update", user_id=name, status="offline")
        while statuses(alice, name)[-1] != "offline":
            await alice.expect("user_status_update", user_id=name, status="offline")


async def test_a_member_let_in_during_the_grace_time_goes_offline_for_all(
    start, backend, make_room, connect
):
    """P7: those who first see somebody while his link is broken hear that he is gone."""
    node = await start({"ANMEI_PRESENCE_GRACE": "4000"})
    room = await make_room(node, "alice", "dora")
    bob = await connect(node, "bob")
    await bob.abort()
    path = f"/api/v1/conversations/{room}/participants"
    assert (await backend(node, "POST", path, {"user_ids": ["bob"]})).status == 200
    alice = await connect(node, "alice")
    await alice.expect("user_status_update", user_id="bob", status="offline")


async def test_a_conversation_that_one_was_removed_from_hears_nothing_of_one(
    start, backend, make_room, connect
):
    """P8: presence goes to those who share a conversation, at the moment it is told."""
    node = await start({"ANMEI_PRESENCE_GRACE": "3000"})
    room = await make_room(node, "alice", "bob")
    alice = await connect(node, "alice")
    bob = await connect(node, "bob")
    await alice.expect("user_status_update", user_id="bob", status="online")
    await bob.abort()
    path = f"/api/v1/conversations/{room}/participants/bob"
    assert (await backend(node, "DELETE", path)).status == 200
    # Somebody else's goodbye comes after bob's would have come.
    await make_room(node, "alice", "carol")
    carol = await connect(node, "carol")
    await carol.abort()
    await alice.expect("user_status_update", user_id="carol", status="offline")
    assert "offline" not in statuses(alice, "bob")


async def test_people_who_meet_see_who_is_online(small_node, make_room, connect):
    """The first event of a new conversation says who of its members is online now."""
    alice = await connect(small_node, "alice")
    bob = await connect(small_node, "bob")
    room = await make_room(small_node, "alice", "bob", "carol")
    for client in (alice, bob):
        first = await client.expect("conversation_updated", conversation_id=room)
        assert first["presence"] == {"alice": "online", "bob": "online"}


async def test_of_one_who_flaps_there_is_news_once_a_second_and_the_last_is_true(
    small_node, make_room, connect
):
    """P4: a hundred changes of a status are not a hundred events for everybody."""
    await make_room(small_node, "alice", "bob")
    alice = await connect(small_node, "alice")
    bob = await connect(small_node, "bob")
    began = time.monotonic()
    for number in range(60):
        await bob.request("set_status", {"status": ("away", "busy")[number % 2]})
    await bob.request("set_status", {"status": "dnd"})
    await alice.expect("user_status_update", user_id="bob", status="dnd")
    # The first at once, the last, one for each second between, and that he came.
    assert len(statuses(alice, "bob")) <= time.monotonic() - began + 3
