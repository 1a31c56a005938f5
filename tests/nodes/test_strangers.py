"""People who are not in a conversation: what they try, and what they hear."""

import json
import re

import pytest

from tests.support.client import Client, Event, RequestFailed

THEIRS, ABROAD, NOWHERE = "theirs", "abroad", "nowhere"

#: Every frame that names a conversation.
FRAMES = [
    ("send_message", {"content": "let me in", "client_msg_id": "m-1"}),
    ("history", {}),
    ("history", {"before_seq": 3, "limit": 1}),
    ("delivered", {"seq": 1}),
    ("mark_read", {"seq": 1}),
    ("mark_read", {"message_ids": ["msg_1"]}),
    ("typing", {"is_typing": True}),
    ("join_session", {}),
    ("leave_session", {}),
]

#: Every route of one conversation, with each method.
ROUTES = [
    (method, route, body)
    for route, body in [
        ("/api/v1/conversations/{}", {"title": "mine"}),
        ("/api/v1/conversations/{}/participants", {"user_ids": ["mallory"]}),
        ("/api/v1/conversations/{}/participants/mallory", None),
        ("/api/v1/conversations/{}/participants/alice", None),
        ("/api/v1/conversations/{}/messages", {"content": "let me in"}),
        ("/api/v1/conversations/{}/read", {"seq": 1}),
        ("/api/v1/chat/{}/send", {"content": "let me in"}),
    ]
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
]


def scrub(value: object, room: str) -> str:
    """An answer without what differs between any two: ids, times and the name of the room."""
    text = json.dumps(value, sort_keys=True, default=str)
    text = re.sub(r"\b(req|conn|conv|msg)_[0-9a-z]{26}", r"\1_…", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "…", text)
    return text.replace(room, "ROOM")


@pytest.fixture
def rooms(make_room):
    """`await rooms(node)`: one of others in the same tenant, one in another tenant."""

    async def make(node) -> None:
        await make_room(node, "alice", "bob", id=THEIRS)
        await make_room(node, "alice", "bob", id=ABROAD, tenant="other")

    return make


def heard(client: Client, since: int) -> list[Event]:
    """What came to a client, but for what is counted of its own, which is told now and then."""
    return [event for event in client.events[since:] if event.type != "unread_totals"]


async def answer(client: Client, type: str, data: dict) -> object:
    try:
        return await client.request(type, data, id="same")
    except RequestFailed as refusal:
        return refusal.error


async def test_to_a_stranger_a_conversation_looks_as_if_it_were_not_there(node, rooms, connect):
    """P8 (row 33): every frame is answered the same for a conversation of others, one of another
    tenant and one that does not exist; and the members hear nothing of it."""
    await rooms(node)
    alice = await connect(node, "alice")
    bob = await connect(node, "bob")
    abroad = await connect(node, "bob", tenant="other")
    for member in (alice, bob, abroad):
        await member.expect("sync_complete")
    await alice.send_message(THEIRS, "private")
    await bob.expect("new_message", content="private")
    members = (alice, bob, abroad)
    for member in members:
        await member.ping()
    seen = [len(member.events) for member in members]
    mallory = await connect(node, "mallory")
    for type, data in FRAMES:
        answers = {
            scrub(await answer(mallory, type, {"conversation_id": room, **data}), room)
            for room in (THEIRS, ABROAD, NOWHERE)
        }
        assert len(answers) == 1, f"{type} tells them apart: {answers}"
        assert '"not_found"' in answers.pop(), f"{type} was not refused"
    report = await mallory.sync({THEIRS: 0, ABROAD: 0, NOWHERE: 0})
    assert report["conversations"] == {}
    for member, count in zip(members, seen, strict=True):
        await member.ping()
        assert heard(member, count) == []


async def test_over_http_a_stranger_learns_no_more(node, rooms, connect, backend):
    """P8 (row 33): every route and method, the three answered the same but for their ids."""
    await rooms(node)
    alice = await connect(node, "alice")
    await alice.send_message(THEIRS, "private")
    token = node.token("mallory")
    for method, route, body in ROUTES:
        answers = set()
        for room in (THEIRS, ABROAD, NOWHERE):
            sent = body if method in ("POST", "PUT", "PATCH") else None
            got = await backend(node, method, route.format(room), sent, token=token)
            assert got.status >= 400, (method, route, got)
            headers = {name: got.headers[name] for name in got.headers if name != "Date"}
            answers.add(scrub([got.status, headers, got.body], room))
        assert len(answers) == 1, f"{method} {route} tells them apart: {answers}"
    page = await alice.request("history", {"conversation_id": THEIRS})
    assert [message["content"] for message in page["messages"]] == ["private"]
    head = await backend(node, "GET", f"/api/v1/conversations/{THEIRS}", token=node.token("alice"))
    assert head.body["participant_count"] == 2


async def test_a_stranger_hears_nothing_of_what_the_members_do(node, rooms, connect):
    """P8 (rows 34, 35; I6): no message, typing, receipt, session or presence reaches him, in the
    same tenant or in another one under the same names."""
    await rooms(node)
    strangers = [
        await connect(node, "mallory"),
        await connect(node, "alice", tenant="third"),
        await connect(node, "mallory", tenant="other"),
    ]
    welcomes = []
    for stranger in strangers:
        await stranger.ping()
        assert stranger.established["conversations"] == []
        assert stranger.established["presence"] == {}
        welcomes.append(len(stranger.events))
    alice, bob = await connect(node, "alice"), await connect(node, "bob")
    await alice.request("join_session", {"conversation_id": THEIRS})
    await alice.request("typing", {"conversation_id": THEIRS, "is_typing": True})
    sent = await alice.send_message(THEIRS, "private")
    await bob.request("mark_read", {"conversation_id": THEIRS, "seq": sent["seq"]})
    await bob.request("set_status", {"status": "busy"})
    # What the members hear, a stranger would have heard by now.
    await bob.expect("session_joined", user_id="alice")
    await bob.expect("typing", user_id="alice")
    await bob.expect("new_message", content="private")
    await alice.expect("message_status_update", user_id="bob")
    await alice.expect("user_status_update", user_id="bob", status="busy")
    await bob.close()
    await alice.expect("user_status_update", user_id="bob", status="offline")
    for stranger, count in zip(strangers, welcomes, strict=True):
        await stranger.ping()
        assert heard(stranger, count) == []


async def test_a_removed_member_hears_of_that_and_then_of_nothing(node, rooms, connect, backend):
    """P8 (row 30): live, and after a reconnect with his old position."""
    await rooms(node)
    alice, bob = await connect(node, "alice"), await connect(node, "bob", device_id="phone")
    await alice.send_message(THEIRS, "while he was in")
    await bob.expect("new_message", content="while he was in")
    place = bob.place(THEIRS)
    gone = await backend(node, "DELETE", f"/api/v1/conversations/{THEIRS}/participants/bob")
    assert gone.status == 200
    farewell = await bob.expect("conversation_updated", conversation_id=THEIRS, removed=True)
    assert farewell["conversation"] is None
    await bob.ping()
    count = len(bob.events)
    sent = await alice.send_message(THEIRS, "about bob")
    await alice.expect("new_message", content="about bob")
    await alice.request("typing", {"conversation_id": THEIRS, "is_typing": True})
    await alice.request("mark_read", {"conversation_id": THEIRS, "seq": sent["seq"]})
    await alice.request("join_session", {"conversation_id": THEIRS})
    await bob.ping()
    assert heard(bob, count) == []
    for type, data in FRAMES:
        with pytest.raises(RequestFailed, match="not_found"):
            await bob.request(type, {"conversation_id": THEIRS, **data})
    await bob.close()
    back = await connect(node, "bob", device_id="phone", resume=True)
    assert back.established["conversations"] == []
    report = await back.sync({THEIRS: place})
    assert report["conversations"] == {}
    assert back.messages(THEIRS) == []
    other = await connect(node, "bob", device_id="phone")
    await other.ping()
    assert other.messages(THEIRS) == []


async def test_a_device_of_one_conversation_is_told_of_no_other(node, make_room, connect):
    """P8: behind `/ws/chat/session/{id}` the others are not there, for either direction."""
    one = await make_room(node, "alice", "bob")
    two = await make_room(node, "alice", "bob")
    alice = await connect(node, "alice")
    session = await Client.connect(f"{node.ws_url}/session/{one}", node.token("bob"))
    assert [head["conversation_id"] for head in session.established["conversations"]] == [one]
    await alice.expect("session_joined", conversation_id=one, user_id="bob")
    for type, data in FRAMES:
        refused = scrub(await answer(session, type, {"conversation_id": two, **data}), two)
        absent = scrub(await answer(session, type, {"conversation_id": NOWHERE, **data}), NOWHERE)
        assert refused == absent
    await alice.send_message(two, "elsewhere")
    await alice.request("typing", {"conversation_id": two, "is_typing": True})
    await alice.send_message(one, "here")
    await session.expect("new_message", content="here")
    await session.ping()
    told = [event for event in session.events if two in json.dumps(event.data)]
    assert told == []
    await session.close()


async def test_the_session_door_turns_strangers_away_without_a_hint(node, rooms):
    """P8: not yours, another tenant's, absent and malformed are closed alike, with 4003."""
    await rooms(node)
    farewells = set()
    for room in (THEIRS, ABROAD, NOWHERE, "*"):
        client = await Client.connect(
            f"{node.ws_url}/session/{room}", node.token("mallory"), wait=False
        )
        await client.expect_close(4003)
        assert client.of_type("connection_established") == []
        farewells.add(json.dumps([client.farewell, client.close_reason]))
        await client.close()
    assert len(farewells) == 1, farewells
