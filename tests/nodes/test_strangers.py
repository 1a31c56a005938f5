"""People who are not in a conversation: what they try, and what they hear."""

import asyncio
import json

import pytest

from anmei.frames import PAYLOADS
from handlers.routes import TABLE, V1
from tests.support.client import INBOX_NUMBERED, Client, Event, RequestFailed
from tests.support.http import Http
from tests.support.named import (
    BESIDE,
    FRAMES,
    FRAMES_OF_NOTHING,
    METHODS,
    ROUTES,
    ROUTES_OF_NOTHING,
    Own,
    Place,
    fill,
    headers,
    scrub,
    tried,
)
from tests.support.uploads import file_body, id_of, upload

THEIRS, ABROAD = "theirs", "abroad"
NOWHERE = Place("nowhere", f"msg_{'0' * 26}", f"msg_{'1' * 26}", f"file_{'0' * 26}")


def test_every_frame_and_every_route_is_tried_or_names_nothing():
    """P8: what is new has to be put into one of the lists."""
    frames = {type for type, _ in (*FRAMES, *BESIDE)}
    assert frames | FRAMES_OF_NOTHING == set(PAYLOADS)
    assert frames.isdisjoint(FRAMES_OF_NOTHING)
    api = [pattern for pattern, _ in TABLE if pattern.startswith(V1)]
    patterns = {pattern.removeprefix(V1).replace("([^/]+)", "*") for pattern in api}
    assert ROUTES.keys() | ROUTES_OF_NOTHING == patterns
    assert ROUTES.keys().isdisjoint(ROUTES_OF_NOTHING)


@pytest.fixture
def rooms(make_room):
    """`await rooms(node)`: one of others in the same tenant, one in another tenant."""

    async def make(node) -> None:
        await make_room(node, "alice", "bob", id=THEIRS)
        await make_room(node, "alice", "bob", id=ABROAD, tenant="other")

    return make


@pytest.fixture
def places(rooms, backend):
    """`await places(node)`: the same with a message, a file and a personal message each, and one
    that is nowhere."""

    async def make(node) -> list[Place]:
        await rooms(node)
        found = []
        for room, tenant in ((THEIRS, "default"), (ABROAD, "other")):
            alice = Http(node.url, node.token("alice", tenant=tenant))
            file = await upload(alice, b"private")
            sent = [
                await alice.post(f"{V1}/conversations/{room}/messages", body)
                for body in ({"content": "private"}, file_body(file))
            ]
            alice.close()
            body = {"recipient_ids": ["alice"], "content": "private"}
            posted = await backend(node, "POST", f"{V1}/messages", body, tenant=tenant)
            assert [answer.status for answer in (*sent, posted)] == [201, 201, 201]
            ids = sent[0].body["id"], posted.body["message_id"]
            found.append(Place(room, *ids, id_of(file)))
        return [*found, NOWHERE]

    return make


@pytest.fixture
def make_own(make_room, backend):
    """`await make_own(node, "mallory")`: a conversation of his with a message in it."""

    async def make(node, user: str, tenant: str = "default") -> Own:
        room = await make_room(node, user, tenant=tenant)
        path, body = f"{V1}/conversations/{room}/messages", {"content": "mine", "sender_id": user}
        answer = await backend(node, "POST", path, body, tenant=tenant)
        assert answer.status == 201
        return Own(room, answer.body["id"])

    return make


def heard(client: Client, since: int) -> list[Event]:
    """What came to a client, but for what is counted of its own, which is told now and then."""
    return [event for event in client.events[since:] if event.type != "unread_totals"]


async def answer(client: Client, type: str, data: dict) -> object:
    if type == "sync":
        return await client.sync(**data)
    try:
        return await client.request(type, data, id="same")
    except RequestFailed as refusal:
        return refusal.error


async def try_frames(client: Client, places: list[Place], own: Own) -> None:
    """Each frame is answered alike for all of the places, to somebody who is wholly there."""
    for refused, frames in ((True, FRAMES), (False, BESIDE)):
        for type, data in frames:
            answers = {
                scrub(await answer(client, type, fill(data, place, own)), place) for place in places
            }
            assert len(answers) == 1, f"{type} {data} tells them apart: {answers}"
            if refused:
                assert '"not_found"' in answers.pop(), f"{type} {data} was not refused"


async def try_routes(node, token: str, places: list[Place], own: Own) -> None:
    """Each route is answered alike for all of the places, whatever the method."""
    client = Http(node.url, token)
    for pattern, entries in ROUTES.items():
        for what, body in entries:
            for method in METHODS:
                sent = body if method in ("POST", "PUT", "PATCH") else None
                got = await asyncio.gather(
                    *(
                        client.request(
                            method,
                            fill(tried(pattern, what), place, own),
                            fill(sent, place, own),
                            headers=headers(pattern, method),
                        )
                        for place in places
                    )
                )
                answers = set()
                for place, one in zip(places, got, strict=True):
                    assert one.status >= 400, (method, pattern, one)
                    told = {name: one.headers[name] for name in one.headers if name != "Date"}
                    answers.add(scrub([one.status, told, one.body], place))
                assert len(answers) == 1, f"{method} {pattern} tells them apart: {answers}"
    client.close()


async def test_to_a_stranger_a_conversation_looks_as_if_it_were_not_there(
    node, places, make_own, connect
):
    """P8 (row 33): every frame is answered the same for a conversation of others, one of another
    tenant and one that does not exist; and the members hear nothing of it."""
    tried_places, own = await places(node), await make_own(node, "mallory")
    alice = await connect(node, "alice")
    bob = await connect(node, "bob")
    abroad = await connect(node, "bob", tenant="other")
    members = (alice, bob, abroad)
    for member in members:
        await member.expect("sync_complete")
        await member.ping()
    seen = [len(member.events) for member in members]
    mallory = await connect(node, "mallory")
    await mallory.expect("sync_complete")
    await try_frames(mallory, tried_places, own)
    report = await mallory.sync({place.room: 0 for place in tried_places})
    assert report["conversations"] == {}
    for member, count in zip(members, seen, strict=True):
        await member.ping()
        assert heard(member, count) == []


async def test_over_http_a_stranger_learns_no_more(node, places, make_own, connect, backend):
    """P8 (row 33): every route and method, the three answered the same but for their ids, to a
    user and to the service of another tenant; nothing has come of it."""
    tried_places = await places(node)
    alice = await connect(node, "alice")
    await alice.expect("sync_complete")
    before = len(alice.events)
    await try_routes(node, node.token("mallory"), tried_places, await make_own(node, "mallory"))
    desk = node.token("desk", roles=["service"], tenant="third")
    await try_routes(node, desk, tried_places, await make_own(node, "desk", "third"))
    await alice.ping()
    assert heard(alice, before) == []
    page = await alice.request("history", {"conversation_id": THEIRS})
    assert [message["content"] for message in page["messages"]] == ["private", ""]
    head = await backend(node, "GET", f"/api/v1/conversations/{THEIRS}", token=node.token("alice"))
    assert head.body["participant_count"] == 2
    audit = await backend(node, "GET", f"{V1}/audit", token=node.token("root", roles=["admin"]))
    assert audit.body["audit"] == []
    for by in ("q=private", "sender=alice", "kind=file"):
        found = await backend(
            node, "GET", f"{V1}/messages/search?{by}", token=node.token("mallory")
        )
        assert found.body["results"] == [], by


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
        await stranger.expect("sync_complete")
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


async def test_a_removed_member_hears_of_that_and_then_of_nothing(
    node, places, make_own, connect, backend
):
    """P8 (row 30): live, and after a reconnect with his old position."""
    theirs, *_ = await places(node)
    alice, bob = await connect(node, "alice"), await connect(node, "bob", device_id="phone")
    await bob.expect("sync_complete")
    await alice.send_message(THEIRS, "while he was in")
    await bob.expect("new_message", content="while he was in")
    place = bob.place(THEIRS)
    his = await bob.send_message(THEIRS, "his own")
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
    own = await make_own(node, "bob")
    left = [theirs, theirs._replace(message=his["message_id"]), NOWHERE]
    await try_frames(bob, left, own)
    await try_routes(node, node.token("bob"), left, own)
    await bob.close()
    back = await connect(node, "bob", device_id="phone", resume=True)
    heads = [head["conversation_id"] for head in back.established["conversations"]]
    assert heads == [own.own_room]
    report = await back.sync({THEIRS: place})
    assert report["conversations"] == {}
    assert back.messages(THEIRS) == []
    other = await connect(node, "bob", device_id="phone")
    await other.expect("sync_complete")
    assert other.messages(THEIRS) == []


@pytest.mark.parametrize("door", ["session", "inbox"])
async def test_a_device_of_one_conversation_is_told_of_no_other(
    node, make_room, make_own, places, connect, backend, door
):
    """P8: behind `/ws/chat/session/{id}` the others are not there, for either direction, and
    behind the door of the inbox none is."""
    theirs, *_ = await places(node)
    own = await make_own(node, "bob")
    path = {"session": f"/ws/chat/session/{own.own_room}", "inbox": "/ws/user/bob/messages"}[door]
    alice, whole = await connect(node, "alice"), await connect(node, "bob")
    narrow = await connect(node, "bob", door=path)
    shown = [head["conversation_id"] for head in narrow.established["conversations"]]
    assert shown == ([own.own_room] if door == "session" else [])
    # What names the one conversation of the session door is there, so it is tried behind another.
    beyond = Own("beyond", NOWHERE.message) if door == "inbox" else own
    # A file is the user's to send, whichever conversation it came with.
    await narrow.expect("sync_complete")
    await try_frames(narrow, [theirs._replace(file=NOWHERE.file), NOWHERE], beyond)
    # What else happens there, by others and on the user's own other device.
    for type, data in (
        ("send_message", {"conversation_id": THEIRS, "content": "x", "client_msg_id": "x"}),
        ("typing", {"conversation_id": THEIRS}),
        ("join_session", {"conversation_id": THEIRS}),
        ("edit_message", {"message_id": theirs.message, "content": "better", "mentions": ["bob"]}),
        ("react", {"message_id": theirs.message, "emoji": "x"}),
        ("pin_message", {"message_id": theirs.message}),
        ("recall_message", {"message_id": theirs.message}),
    ):
        await alice.request(type, data)
    body = {"recipient_ids": ["bob"], "content": "personal"}
    posted = await backend(node, "POST", f"{V1}/messages", body)
    await whole.expect("notification", id=posted.body["message_id"])
    for type, data in (
        ("mute_conversation", {"conversation_id": THEIRS}),
        ("pin_conversation", {"conversation_id": THEIRS}),
        ("save_draft", {"conversation_id": THEIRS, "text": "x"}),
        ("mark_read", {"conversation_id": THEIRS, "seq": 9}),
    ):
        await whole.request(type, data)
    await whole.expect("unread_totals", inbox=1)
    if door == "inbox":
        await narrow.expect("notification", id=posted.body["message_id"])
        await narrow.sync({THEIRS: 0, own.own_room: 0}, inbox=0)
    else:
        await whole.send_message(own.own_room, "here")
        await narrow.expect("new_message", content="here")
        await narrow.sync({THEIRS: 0, own.own_room: 0})
        told = [event for event in narrow.events if event.type in INBOX_NUMBERED]
        assert told == []
    hidden = [theirs.room, theirs.message] + ([own.own_room] if door == "inbox" else [])
    for event in narrow.events:
        text = json.dumps(event.data)
        assert not any(f'"{id}"' in text for id in hidden), event


async def test_the_session_door_turns_strangers_away_without_a_hint(node, rooms):
    """P8: not yours, another tenant's, absent and malformed are closed alike, with 4003."""
    await rooms(node)
    farewells = set()
    for room in (THEIRS, ABROAD, NOWHERE.room, "*"):
        client = await Client.connect(
            f"{node.ws_url}/session/{room}", node.token("mallory"), wait=False
        )
        await client.expect_close(4003)
        assert client.of_type("connection_established") == []
        farewells.add(json.dumps([client.farewell, client.close_reason]))
        await client.close()
    assert len(farewells) == 1, farewells
