from typing import Any

import pytest

from anmei.errors import ErrorCode
from db import queries
from db.store import Store
from tests.db.chat import change, create, do, key, remove, reply, send


@pytest.fixture
def rooms(store: Store) -> None:
    """Ann is in all but `closed`; Bob says msg_2 in `one`."""
    reply(store, create("one", "ann", "bob"))
    reply(store, create("two", "ann", "cid"))
    reply(store, create("three", "cid", "ann"))
    reply(store, create("closed", "cid"))
    metadata = '{"a":1}'
    said = send(
        "one", "bob", "listen", message_id="msg_2", extra_metadata=metadata, priority="high"
    )
    reply(store, said)


def code(store: Store, command: Any) -> ErrorCode | None:
    (outcome,) = do(store, command)
    return None if outcome.error is None else outcome.error.code


def seqs(store: Store, room: str) -> list[int]:
    page = store.read(queries.history, None, key(room), None, None, 99).result(60)
    return [message["seq"] for message in page["messages"]]


def test_a_forward_is_a_message_of_its_own_in_each_conversation(store: Store, rooms: None) -> None:
    (outcome,) = do(store, change.forward("msg_2", "ann", "one", "two", "three"))
    assert outcome.reply is not None
    here, there, _ = outcome.reply["messages"]
    assert [each["conversation_id"] for each in outcome.reply["messages"]] == [
        "one",
        "two",
        "three",
    ]
    assert outcome.reply["duplicates"] == [False] * 3
    assert [one.type for one in outcome.changes] == ["new_message"] * 3
    assert (there["sender_id"], there["sender_name"], there["content"]) == ("ann", "Ann", "listen")
    assert (there["extra_metadata"], there["priority"], there["seq"]) == ({"a": 1}, "normal", 2)
    # Where it comes from is for those who may know of that conversation.
    origin = {"message_id": "msg_2", "conversation_id": None, "sender_name": "Bob"}
    assert there["forwarded_from"] == origin
    assert here["forwarded_from"] == {**origin, "conversation_id": "one"}
    again = reply(store, change.forward(there["id"], "cid", "three", client_msg_id="f2"))
    assert again["messages"][0]["forwarded_from"] == origin


def test_a_forward_goes_to_all_or_to_none(store: Store, rooms: None) -> None:
    for target in ("closed", "nowhere"):
        forward = change.forward("msg_2", "ann", "two", target)
        assert code(store, forward) is ErrorCode.NOT_FOUND
    assert code(store, change.forward("msg_2", "cid", "two")) is ErrorCode.NOT_FOUND
    assert (seqs(store, "two"), seqs(store, "closed")) == ([], [])
    rows, _ = store.read(queries.audit, "acme", None, None, None, None, 9).result(60)
    assert rows == []


def test_the_same_forward_again_gives_the_same_messages(store: Store, rooms: None) -> None:
    first = reply(store, change.forward("msg_2", "ann", "two", "three", client_msg_id="f"))
    do(store, change.recall("msg_2", "bob"))
    again = reply(store, change.forward("msg_2", "ann", "two", "three", client_msg_id="f"))
    assert again == {**first, "duplicates": [True, True]}
    more = change.forward("msg_2", "ann", "two", "one", client_msg_id="f")
    assert code(store, more) is ErrorCode.CONFLICT
    rows, _ = store.read(queries.audit, "acme", None, None, key("ann"), None, 9).result(60)
    assert [row["action"] for row in rows] == ["forward"]


def test_who_was_removed_forwards_nothing(store: Store, rooms: None) -> None:
    do(store, remove("three", "ann", "ann"))
    assert code(store, change.forward("msg_2", "ann", "three")) is ErrorCode.NOT_FOUND
    do(store, remove("one", "bob", "bob"))
    assert code(store, change.forward("msg_2", "bob", "one")) is ErrorCode.NOT_FOUND


def test_forwards_and_sends_of_one_batch_keep_their_order(store: Store, rooms: None) -> None:
    outcomes = do(
        store,
        send("two", "cid", message_id="a"),
        change.forward("msg_2", "ann", "two", "three"),
        send("three", "cid", message_id="b"),
        send("two", "cid", message_id="c"),
    )
    assert [outcome.error for outcome in outcomes] == [None] * 4
    assert (seqs(store, "two"), seqs(store, "three")) == ([2, 3, 4], [2, 3])
    last = store.read(queries.message, "acme", None, "c").result(60)
    assert last["seq"] == 4
