"""Personal messages over HTTP and WebSocket, on both databases."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from anmei.close_codes import CloseCode
from tests.handlers.api_routes import check_error, without_id
from tests.support.client import RequestFailed
from tests.support.http import Http
from tests.support.process import AnmeiProcess

MESSAGES, INBOX = "/api/v1/messages", "/api/v1/inbox"

BAD_BODIES = (
    {},
    {"content": "x"},
    {"recipient_ids": ["a"]},
    {"recipient_ids": [], "content": "x"},
    {"recipient_ids": "a", "content": "x"},
    {"recipient_ids": ["a/b"], "content": "x"},
    {"recipient_ids": ["a!inbox"], "content": "x"},
    {"recipient_ids": [1], "content": "x"},
    {"recipient_ids": ["a"], "content": "a\0b"},
    {"recipient_ids": ["a"], "content": "x", "title": "a\nb"},
    {"recipient_ids": ["a"], "content": "x", "title": "a\0b"},
    {"recipient_ids": ["a"], "content": "x", "category": "a b"},
    {"recipient_ids": ["a"], "content": "x", "message_type": "image"},
    {"recipient_ids": ["a"], "content": "x", "priority": "whatever"},
    {"recipient_ids": ["a"], "content": "x", "extra_metadata": []},
    {"recipient_ids": ["a"], "content": "x", "conversation_id": "room"},
    {"recipient_ids": ["a"], "content": "x", "sender_type": "root"},
)

BAD_READS = (
    {},
    {"seq": 1, "all": True},
    {"seq": 1, "message_ids": []},
    {"all": False},
    {"seq": -1},
    {"message_ids": ["a"] * 501},
)


@pytest.fixture(params=["sqlite", "postgres"], scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("inbox")
    url = f"sqlite:///{directory}/anmei.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").create_database()
    env = {"DATABASE_URL": url, "ANMEI_LIMIT_REPLAY": "60"}
    node = AnmeiProcess(directory, env).start()
    yield node
    node.close()


@pytest.fixture
def backend(as_: Callable[..., Http]) -> Http:
    return as_("backend", roles=["service"])


numbers = itertools.count(1)


@pytest.fixture
def ada() -> str:
    """A user whom nobody has heard of yet."""
    return f"ada{next(numbers)}"


async def post(backend: Http, *users: str, content: str = "News", **more: Any) -> str:
    body = {"recipient_ids": list(users), "content": content, **more}
    answer = await backend.post(MESSAGES, body)
    assert answer.status == 201, answer
    assert answer.body["recipient_count"] == len(users)
    return str(answer.body["message_id"])


async def test_a_message_to_several_users_reaches_them_and_nobody_else(
    server, as_, backend, connect, ada
) -> None:
    device, eve = await connect(server, ada), await connect(server, "eve")
    assert device.established["inbox"] == {"seq": 0, "unread": 0}
    more = {"title": "Notice", "category": "ops", "priority": "high", "is_important": True}
    more |= {"extra_metadata": {"url": "/x"}, "sender_name": "Shop 店"}
    id = await post(backend, ada, f"{ada}.bob", content="你好 </b>", **more)
    told = await device.expect("notification")
    assert told == {
        **told,
        **more,
        **{"id": id, "conversation_id": None, "content": "你好 </b>", "sender_type": "system"},
        **{"seq": 1, "inbox_seq": 1, "change_seq": 1, "is_read": False, "read_at": None},
    }
    await eve.expect_nothing("notification")
    listed = await as_(f"{ada}.bob").get(INBOX)
    assert listed.body == {"messages": [told], "next_cursor": None}
    assert (await as_("eve").get(INBOX)).body == {"messages": [], "next_cursor": None}


async def test_a_kind_of_message_has_its_body(server, backend, connect, ada) -> None:
    device = await connect(server, ada)
    body = {"title": "Your order", "text": "is on its way"}
    await post(backend, ada, message_type="card", body=body)
    assert (await device.expect("notification", message_type="card"))["body"] == {**body}
    absent = {"attachment_id": "file_0", "name": "a", "size": 1}
    wanted = {"recipient_ids": [ada], "content": "", "message_type": "file", "body": absent}
    check_error(await backend.post(MESSAGES, wanted), 404, "not_found")


async def test_the_same_key_again_is_the_same_message_also_after_a_crash(
    server, backend, connect, ada
) -> None:
    body = {"recipient_ids": [ada], "content": "once"}
    headers = {"Idempotency-Key": f"k-{ada}"}
    first = await backend.request("POST", MESSAGES, body, headers=headers)
    server.kill9()
    server.restart()
    device = await connect(server, ada)
    await device.expect("notification", content="once")
    body["content"] = "twice"
    again = await backend.request("POST", MESSAGES, body, headers=headers)
    assert (first.status, again.status) == (201, 200)
    assert again.body == first.body
    await device.expect_nothing("notification")
    clash = await backend.request(
        "POST", MESSAGES, {**body, "client_msg_id": "other"}, headers=headers
    )
    check_error(clash, 400, "bad_request")


async def test_bodies_that_make_no_sense_are_refused_and_limits_are_named(backend) -> None:
    for body in BAD_BODIES:
        check_error(await backend.post(MESSAGES, body), 400, "bad_request")
    many = {"recipient_ids": ["a"] * 10_001, "content": "x"}
    error = check_error(await backend.post(MESSAGES, many), 413, "too_large")
    assert "1 to 10000" in error["message"]
    long = {"recipient_ids": ["a"], "content": "x" * 65_537}
    check_error(await backend.post(MESSAGES, long), 413, "too_large")
    for read in BAD_READS:
        check_error(await backend.post(f"{INBOX}/read", read), 400, "bad_request")
    for query in ("cursor=nonsense", "limit=0", "limit=201", "unread=maybe", "page=2"):
        check_error(await backend.get(f"{INBOX}?{query}"), 400, "bad_request")


async def test_only_backends_post_and_nobody_sees_another_ones_inbox(as_, backend, ada) -> None:
    id = await post(backend, ada)
    stranger, other = as_("mallory"), as_("backend", roles=["service"], tenant="acme")
    body = {"recipient_ids": [ada], "content": "x"}
    check_error(await stranger.post(MESSAGES, body), 403, "forbidden")
    check_error(await stranger.get(f"{INBOX}?user_id={ada}"), 403, "forbidden")
    read = {"user_id": ada, "all": True}
    check_error(await stranger.post(f"{INBOX}/read", read), 403, "forbidden")
    path = f"{INBOX}/{id}"
    check_error(await stranger.request("DELETE", f"{path}?user_id={ada}"), 403, "forbidden")
    # What is somebody else's looks like what is not there.
    absent = await stranger.request("DELETE", f"{INBOX}/msg_0")
    assert without_id(await stranger.request("DELETE", path)) == without_id(absent)
    marked = await stranger.post(f"{INBOX}/read", {"message_ids": [id]})
    assert marked.body == {"conversation_id": None, "seq": 0, "unread": 0, "last_seq": 0}
    # The same name in another tenant is another user.
    assert (await other.get(f"{INBOX}?user_id={ada}")).body["messages"] == []
    await other.post(f"{INBOX}/read", read)
    assert (await as_(ada).get(f"{INBOX}?unread=true")).body["messages"][0]["id"] == id


async def test_what_is_read_or_taken_out_over_http_is_so_on_every_device(
    server, as_, backend, connect, ada
) -> None:
    phone, laptop = await connect(server, ada), await connect(server, ada)
    ids = [await post(backend, ada, content=str(n)) for n in range(4)]
    mine = as_(ada)
    read = await mine.post(f"{INBOX}/read", {"message_ids": [ids[2]]})
    assert read.body == {"conversation_id": None, "seq": 0, "unread": 3, "last_seq": 5}
    read = await backend.post(f"{INBOX}/read", {"seq": 1, "user_id": ada})
    assert read.body == {"conversation_id": None, "seq": 1, "unread": 2, "last_seq": 6}
    gone = await mine.request("DELETE", f"{INBOX}/{ids[1]}")
    assert (gone.status, gone.body) == (200, {"message_id": ids[1], "unread": 1})
    unread = await mine.get(f"{INBOX}?unread=true")
    assert [message["content"] for message in unread.body["messages"]] == ["3"]
    read = await mine.post(f"{INBOX}/read", {"all": True})
    assert read.body == {"conversation_id": None, "seq": 7, "unread": 0, "last_seq": 8}
    for device in (phone, laptop):
        assert (await device.expect("notification_updated"))["id"] == ids[2]
        assert (await device.expect("inbox_read"))["read_seq"] == 1
        assert (await device.expect("notification_removed"))["id"] == ids[1]
        assert (await device.expect("inbox_read"))["change_seq"] == 8
        assert device.gaps() == []
        told = await device.expect("unread_update", unread=0)
        assert told["conversation_id"] is None
    first = await mine.get(f"{INBOX}?limit=2")
    rest = await mine.get(f"{INBOX}?cursor={first.body['next_cursor']}")
    pages = first.body["messages"] + rest.body["messages"]
    assert [(one["content"], one["is_read"]) for one in pages] == [
        ("3", True),
        ("2", True),
        ("0", True),
    ]


async def test_a_device_that_was_away_ends_where_the_one_that_stayed_is(
    server, as_, backend, connect, ada
) -> None:
    stayed = await connect(server, ada)
    phone = await connect(server, ada, resume=True, device_id="phone")
    await phone.sync({})
    ids = [await post(backend, ada, content=str(n)) for n in range(3)]
    await phone.expect("notification", content="2")
    place = phone.place()
    await phone.abort()
    ids += [await post(backend, ada, content=str(n)) for n in range(3, 9)]
    await stayed.request("mark_read", {"conversation_id": None, "message_ids": [ids[0], ids[5]]})
    await as_(ada).request("DELETE", f"{INBOX}/{ids[7]}")
    await stayed.request("mark_read", {"conversation_id": None, "seq": 2})
    back = await connect(server, ada, resume=True, device_id="phone")
    done = await back.sync({}, inbox=place)
    assert done["inbox"] == {"from": 3, "to": 13, "count": 8, "reset": False}
    assert [(event.type, event.data["change_seq"]) for event in numbered(back)] == [
        *[("notification", number) for number in (4, 5, 7, 9)],
        ("notification_updated", 10),
        ("notification", 11),
        ("notification_removed", 12),
        ("inbox_read", 13),
    ]
    await stayed.expect("inbox_read", change_seq=13)
    assert state(numbered(phone) + numbered(back)) == state(numbered(stayed))
    # Nothing is replayed of an inbox that is not named later on, since it is live.
    assert (await back.sync({}))["inbox"] is None


def numbered(client: Any) -> list[Any]:
    types = ("notification", "notification_updated", "notification_removed", "inbox_read")
    return [event for event in client.events if event.type in types]


def state(events: list[Any]) -> dict[str, tuple[str, bool]]:
    """What a client holds after these events, as the protocol page has it."""
    held: dict[str, Any] = {}
    for event in events:
        if event.type == "notification_removed":
            held.pop(event.data["id"], None)
        elif event.type == "inbox_read":
            for message in held.values():
                message["is_read"] |= message["seq"] <= event.data["read_seq"]
        else:
            held[event.data["id"]] = dict(event.data)
    return {id: (message["content"], message["is_read"]) for id, message in held.items()}


async def test_a_device_that_says_nothing_is_sent_what_is_unread_then_what_it_lacks(
    server, backend, connect, ada
) -> None:
    ids = [await post(backend, ada, content=str(n)) for n in range(5)]
    reader = await connect(server, ada, resume=True)
    await reader.request("mark_read", {"conversation_id": None, "message_ids": [ids[1]]})
    for resume in (False, True):
        new = await connect(server, ada, device_id="tablet", resume=resume)
        assert new.established["inbox"] == {"seq": 6, "unread": 4}
        done = await new.sync({}) if resume else await new.expect("sync_complete")
        assert done["inbox"] == {"from": 0, "to": 6, "count": 4, "reset": False}
        assert [m["content"] for m in new.of_type("notification")] == ["0", "2", "3", "4"]
    acknowledged = await new.request("delivered", {"conversation_id": None, "seq": 4})
    assert acknowledged["seq"] == 4
    await new.abort()
    again = await connect(server, ada, device_id="tablet")
    done = await again.expect("sync_complete")
    assert done["inbox"] == {"from": 4, "to": 6, "count": 2, "reset": False}
    await again.request("delivered", {"conversation_id": None, "seq": 99})
    await again.abort()
    again = await connect(server, ada, device_id="tablet")
    assert (await again.expect("sync_complete"))["inbox"] is None


async def test_more_than_may_be_replayed_is_answered_with_the_newest_page(
    server, backend, connect, ada
) -> None:
    for n in range(70):
        await post(backend, ada, content=str(n))
    known = await connect(server, ada, resume=True)
    done = await known.sync({}, inbox=3)
    assert done["inbox"] == {"from": 20, "to": 70, "count": 50, "reset": True}
    assert [m["content"] for m in known.of_type("notification")] == [str(n) for n in range(20, 70)]
    ahead = await connect(server, ada, resume=True)
    await ahead.request("sync", {"positions": {}, "inbox": 999})
    assert (await ahead.expect("sync_complete"))["inbox"] == done["inbox"]
    new = await connect(server, ada)
    done = await new.expect("sync_complete")
    assert done["inbox"] == {"from": 0, "to": 70, "count": 60, "reset": True}


async def test_the_inbox_door_replays_the_unread_and_hears_no_conversation(
    server, as_, backend, connect, ada
) -> None:
    room = await as_(ada).post(
        "/api/v1/conversations", {"kind": "group", "participant_ids": ["bob"]}
    )
    id = room.body["conversation_id"]
    await post(backend, ada, content="before")
    door = await connect(server, ada, door=f"/ws/user/{ada}/messages")
    assert door.established["conversations"] == []
    assert (await door.expect("notification"))["content"] == "before"
    done = await door.expect("sync_complete")
    assert done["conversations"] == {}
    assert done["inbox"]["count"] == 1
    await as_(ada).post(f"/api/v1/conversations/{id}/messages", {"content": "said"})
    await post(backend, ada, content="after")
    await door.expect("notification", content="after")
    read = await door.request("mark_read", {"conversation_id": None, "seq": 2})
    assert read["unread"] == 0
    for type, more in (("typing", {}), ("history", {}), ("mark_read", {"seq": 1})):
        with pytest.raises(RequestFailed, match="not_found"):
            await door.request(type, {"conversation_id": id, **more})
    await door.expect_nothing("new_message")
    session = await connect(server, ada, door=f"/ws/chat/session/{id}")
    await session.expect("sync_complete")
    await post(backend, ada, content="not for a session")
    await session.expect_nothing("notification")
    with pytest.raises(RequestFailed, match="not_found"):
        await session.request("mark_read", {"conversation_id": None, "seq": 9})


async def test_the_inbox_door_opens_to_its_owner_and_to_admins_of_the_tenant(
    server, as_, backend, connect, ada
) -> None:
    await post(backend, ada, content="before")
    path = f"/ws/user/{ada}/messages"
    for user, options in (
        ("mallory", {}),
        ("backend", {"roles": ["service"]}),
        (ada, {"door": "/ws/user/mallory/messages"}),
        (ada, {"door": "/ws/user/a%21b/messages"}),
    ):
        options = {"door": path, **options}
        stranger = await connect(server, user, wait=False, **options)
        await stranger.expect_close(CloseCode.FORBIDDEN)
        assert [event.type for event in stranger.events] == ["disconnect"]
    admin = await connect(server, "root", roles=["admin"], door=path)
    assert (await admin.expect("notification"))["content"] == "before"
    elsewhere = await connect(server, "root", roles=["admin"], tenant="acme", door=path)
    assert (await elsewhere.expect("sync_complete"))["inbox"] is None
    await post(backend, ada, content="after")
    await admin.expect("notification", content="after")
    await elsewhere.expect_nothing("notification")
    # Who is watched is not online for it, and nothing is marked for him.
    online = await as_("root", roles=["admin"]).get("/api/v1/websocket/online-users")
    assert ada not in str(online.body)
    with pytest.raises(RequestFailed, match="not_found"):
        await admin.request("delivered", {"conversation_id": None, "seq": 2})
    assert len((await as_(ada).get(f"{INBOX}?unread=true")).body["messages"]) == 2
    with pytest.raises(RequestFailed, match="not_found"):
        await admin.request("refresh_token", {"token": server.token("root")})
    fresh = server.token("root", roles=["admin"])
    assert "expires_at" in await admin.request("refresh_token", {"token": fresh})


async def test_behind_anothers_inbox_nothing_comes_that_is_for_whoever_watches(
    server, backend, connect, ada
) -> None:
    admin = f"root-of-{ada}"
    watch = await connect(server, admin, roles=["admin"], door=f"/ws/user/{ada}/messages")
    own = await connect(server, admin, door=f"/ws/user/{admin}/messages")
    whole = await connect(server, admin)
    await post(backend, admin, content="for the admin")
    await whole.expect("notification", content="for the admin")
    await whole.request("mark_read", {"conversation_id": None, "seq": 1})
    for device in (whole, own):
        await device.expect("unread_totals", inbox=0)
    await watch.ping()
    told = {event.type for event in watch.events}
    assert told.isdisjoint({"unread_totals", "unread_update", "notification"})
