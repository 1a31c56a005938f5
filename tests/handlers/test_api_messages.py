"""Messages over HTTP, on both databases: sent once, read, and refused where they make no sense."""

import gzip
from collections.abc import Callable

import pytest
from tornado.ioloop import IOLoop

from tests.handlers.api_routes import check_error
from tests.support.http import Http
from tests.support.process import AnmeiProcess

ROOM = "/api/v1/conversations/room"
PATH = f"{ROOM}/messages"

#: Bodies of a message that cannot be read, or hold what is not allowed.
BAD_BODIES = (
    b"",
    b"{",
    b"[]",
    b'"text"',
    b"\xff",
    b'\xef\xbb\xbf{"content":"x"}',
    b'{"content":NaN}',
    b'{"content":1}',
    b'{"content":null}',
    b'{"content":"\\ud800"}',
    b'{"content":"a\\u0000b"}',
    b'{"content":"x","is_important":"yes"}',
    b'{"content":"x","priority":"whatever"}',
    b'{"content":"x","message_type":"spell"}',
    b'{"content":"x","reply_to":"no such message"}',
    b'{"content":"x","reply_to":"msg_0"}',
    b'{"content":"x","client_msg_id":"a b"}',
    b'{"content":"x","client_msg_id":"a\\nb"}',
    b'{"content":"x","extra_metadata":[]}',
    b'{"content":"x","extra_metadata":{"n":1e999}}',
    b'{"content":"x","extra_metadata":{"n":NaN}}',
    b'{"content":"x","extra_metadata":{"n":9007199254740993}}',
    b'{"content":"x","extra_metadata":{"n":' + b"9" * 5_000 + b"}}",
    b'{"content":"x","extra_metadata":' + b'{"a":' * 9 + b"1" + b"}" * 9 + b"}",
    b'{"content":"x","extra_metadata":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    b'{"content":"x","message_type":"image"}',
    b'{"content":"x","body":{"title":"x"}}',
    b'{"content":"x","message_type":"card","body":{"title":"x","url":"javascript:x"}}',
    b'{"content":"x","id":"mine"}',
    b'{"content":"x","seq":1}',
    b'{"content":"x","created_at":"2020-01-01T00:00:00.000Z"}',
    b'{"content":"x","tenant":"other"}',
    b'{"content":"x","conversation_id":"elsewhere"}',
)
#: Who only a backend may say a message is from.
SPOOFS = (
    {"sender_id": "bob"},
    {"sender_id": "anmei"},
    {"sender_name": "Bob"},
    {"sender_type": "system"},
)


@pytest.fixture
def server(database_url: str, anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei({"DATABASE_URL": database_url})


@pytest.fixture
def alice(as_: Callable[..., Http], io_loop: IOLoop) -> Http:
    """Alice, who owns `room`, where Bob is too."""
    client = as_("alice", name="Alice")
    body = {"id": "room", "kind": "group", "participant_ids": ["bob"]}
    assert io_loop.run_sync(lambda: client.post("/api/v1/conversations", body)).status == 201
    return client


async def test_a_message_is_stored_and_reaches_whoever_is_connected(
    server, as_, alice, connect
) -> None:
    device = await connect(server, "bob")
    metadata = {"colour": "red", "deep": {"list": [1, None, "é"]}}
    answer = await alice.post(
        PATH, {"content": "你好 </b>", "priority": "high", "extra_metadata": metadata}
    )
    assert answer.status == 201
    message = answer.body
    assert (message["sender_id"], message["sender_name"]) == ("alice", "Alice")
    assert (message["sender_type"], message["content"]) == ("chat", "你好 </b>")
    assert (message["priority"], message["extra_metadata"]) == ("high", metadata)
    assert await device.expect("new_message") == message
    assert (await as_("bob").get(PATH)).body == {"messages": [message], "has_more": False}

    card = {"title": "Lunch?", "buttons": [{"label": "Yes", "action": "lunch:yes"}]}
    words = {"content": "", "message_type": "card", "body": card, "client_msg_id": "c1"}
    sent = await device.request("send_message", {"conversation_id": "room", **words})
    again = await device.request("send_message", {"conversation_id": "room", **words})
    assert (sent["duplicate"], again["duplicate"]) == (False, True)
    message = await device.expect("new_message")
    assert (message["message_type"], message["body"]) == ("card", card)
    assert (await as_("bob").post(PATH, words)).body == message
    event = {"content": "", "message_type": "system", "body": {"event": "call", "values": {}}}
    assert (await alice.post(PATH, event)).status == 403
    assert (await as_("desk", roles=["service"]).post(PATH, event)).status == 201


async def test_the_same_key_again_is_the_same_message(server, as_, alice, connect) -> None:
    device = await connect(server, "bob")
    key = {"Idempotency-Key": "k1"}
    first = await alice.post(PATH, {"content": "one"}, headers=key)
    await device.expect("new_message")
    again = await alice.post(PATH, {"content": "one"}, headers=key)
    in_body = await alice.post(PATH, {"content": "one", "client_msg_id": "k1"})
    both = await alice.post(PATH, {"content": "one", "client_msg_id": "k1"}, headers=key)
    assert [one.status for one in (first, again, in_body, both)] == [201, 200, 200, 200]
    assert again.body == in_body.body == both.body == first.body
    assert first.body["client_msg_id"] == "k1"
    differ = await alice.post(PATH, {"content": "one", "client_msg_id": "k2"}, headers=key)
    check_error(differ, 400, "bad_request")
    own = await as_("bob").post(PATH, {"content": "mine"}, headers=key)
    assert own.status == 201
    unkeyed = [await alice.post(PATH, {"content": "same"}) for _ in range(2)]
    assert [one.status for one in unkeyed] == [201, 201]
    server.restart()
    assert (await alice.post(PATH, {"content": "one"}, headers=key)).body == first.body
    assert len((await alice.get(PATH)).body["messages"]) == 4
    assert device.messages("room")[0] == first.body


async def test_chat_send_is_the_same_by_another_name(alice) -> None:
    path = "/api/v1/chat/room/send"
    sent = await alice.post(path, {"content": "hi", "client_msg_id": "c1"})
    assert sent.status == 201
    assert sent.body["status"] == "sent"
    assert sent.body["message_id"] == sent.body["message"]["id"]
    again = await alice.post(path, {"content": "hi", "client_msg_id": "c1"})
    assert (again.status, again.body) == (200, sent.body)
    assert (await alice.get(PATH)).body["messages"] == [sent.body["message"]]


async def test_only_a_backend_says_whom_a_message_is_from(server, as_, alice, anmei) -> None:
    for spoof in SPOOFS:
        check_error(await alice.post(PATH, {"content": "x", **spoof}), 403, "forbidden")
    assert (await alice.post(PATH, {"content": "x", "sender_id": "alice"})).status == 201
    backend = as_("backend", roles=["service"])
    answer = await backend.post(
        PATH,
        {"content": "y", "sender_id": "bob", "sender_name": "Bobby", "sender_type": "system"},
    )
    assert answer.status == 201
    message = answer.body
    assert (message["sender_id"], message["sender_name"]) == ("bob", "Bobby")
    assert message["sender_type"] == "system"
    assert (await backend.get(PATH)).body["messages"][-1] == message
    for name in ("", "a\nb", "x" * 129):
        check_error(
            await backend.post(PATH, {"content": "x", "sender_name": name}), 400, "bad_request"
        )


async def test_a_backend_that_gives_no_name_speaks_by_the_name_the_user_is_known_by(
    server, as_, alice, connect
) -> None:
    bob = await connect(server, "bob", name="Robert")
    words = {"conversation_id": "room", "content": "hi", "client_msg_id": "c1"}
    id = (await bob.request("send_message", words))["message_id"]  # his name is stored by then
    backend = as_("backend", roles=["service"])
    for sender, name in (("bob", "Robert"), ("stranger", "stranger")):
        said = await backend.post(PATH, {"content": "x", "sender_id": sender})
        assert said.body["sender_name"] == name
    body = {"conversation_ids": ["room"], "sender_id": "bob"}
    sent_on = await backend.post(f"/api/v1/messages/{id}/forward", body)
    assert sent_on.body["messages"][0]["sender_name"] == "Robert"
    notice = {"recipient_ids": ["bob"], "content": "x", "sender_id": "bob"}
    assert (await backend.post("/api/v1/messages", notice)).status == 201
    assert (await bob.expect("notification"))["sender_name"] == "Robert"


async def test_history_comes_in_pages_in_order(alice) -> None:
    seqs = [(await alice.post(PATH, {"content": str(n)})).body["seq"] for n in range(5)]
    assert seqs == sorted(set(seqs))

    async def page(query: str) -> tuple[list[int], bool]:
        body = (await alice.get(f"{PATH}?{query}")).body
        return [one["seq"] for one in body["messages"]], body["has_more"]

    assert await page("limit=2") == (seqs[3:], True)
    assert await page(f"limit=2&before_seq={seqs[3]}") == (seqs[1:3], True)
    assert await page(f"limit=2&before_seq={seqs[1]}") == (seqs[:1], False)
    assert await page(f"after_seq={seqs[1]}&limit=2") == (seqs[2:4], True)
    assert await page(f"after_seq={seqs[4]}") == ([], False)
    for bad in ("before_seq=-1", "after_seq=x", "limit=0", f"after_seq={2**53}", "user_id=a/b"):
        check_error(await alice.get(f"{PATH}?{bad}"), 400, "bad_request")
    check_error(await alice.get(f"{PATH}?user_id=bob"), 403, "forbidden")


async def test_reading_moves_the_mark_and_lowers_what_is_unread(as_, alice) -> None:
    bob = as_("bob")
    sent = [(await alice.post(PATH, {"content": str(n)})).body for n in range(3)]
    unread = (await bob.get("/api/v1/unread")).body
    assert unread == {
        "total": 3,
        "inbox": 0,
        "conversations": {"room": 3},
        "by_type": {"text": 3},
        "by_priority": {"normal": 3},
    }
    read = await bob.post(f"{ROOM}/read", {"seq": sent[0]["seq"]})
    assert (read.status, read.body["unread"]) == (200, 2)
    read = await bob.post(f"{ROOM}/read", {"message_ids": [sent[1]["id"]]})
    assert (read.body["seq"], read.body["unread"]) == (sent[1]["seq"], 1)
    back = await bob.post(f"{ROOM}/read", {"seq": 0})
    assert back.body["unread"] == 1
    for wrong in ({}, {"seq": 1, "message_ids": []}, {"seq": -1}, {"seq": 1.5}, {"seq": 2**53}):
        check_error(await bob.post(f"{ROOM}/read", wrong), 400, "bad_request")
    other = {"seq": 1, "conversation_id": "other"}
    check_error(await bob.post(f"{ROOM}/read", other), 400, "bad_request")
    as_alice = {"seq": 1, "user_id": "alice"}
    check_error(await bob.post(f"{ROOM}/read", as_alice), 403, "forbidden")
    backend = as_("backend", roles=["service"])
    last = {"seq": sent[2]["seq"], "user_id": "bob"}
    assert (await backend.post(f"{ROOM}/read", last)).body["unread"] == 0
    assert (await backend.get("/api/v1/unread?user_id=bob")).body["total"] == 0
    assert (await alice.get("/api/v1/unread")).body["total"] == 0


async def test_what_cannot_be_read_is_refused_and_stored_nowhere(alice) -> None:
    json = {"Content-Type": "application/json"}
    for raw in BAD_BODIES:
        check_error(await alice.post(PATH, raw=raw, headers=json), 400, "bad_request")
    good = b'{"content":"x"}'
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ):
        raw = gzip.compress(good) if headers.get("Content-Encoding") == "gzip" else good
        check_error(await alice.post(PATH, raw=raw, headers=headers), 400, "bad_request")
    assert (await alice.get(PATH)).body["messages"] == []
    accepted = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await alice.post(PATH, raw=good, headers=accepted)).status == 201


async def test_what_is_too_large_is_refused_with_the_limit(alice) -> None:
    long = await alice.post(PATH, {"content": "é" * 32_769})
    assert "65536" in check_error(long, 413, "too_large")["message"]
    fat = await alice.post(PATH, {"content": "x", "extra_metadata": {"a": "x" * 9_000}})
    check_error(fat, 413, "too_large")
    for size in (1_048_577, 4_000_000):
        huge = await alice.post(PATH, raw=b" " * size, headers={"Content-Type": "text/plain"})
        assert "1048576" in check_error(huge, 413, "too_large")["message"]
    assert (await alice.post(PATH, {"content": "x" * 65_536})).status == 201
