from collections.abc import Callable
from typing import Any

import pytest

from anmei.commands import Outcome
from anmei.errors import ErrorCode
from db import queries
from db.store import Store
from tests.db.chat import NOW, add, create, do, key, remove, reply, send


@pytest.fixture
def room(store: Store) -> str:
    reply(store, create("room", "ann", "bob"))
    return "room"


def codes(outcomes: list[Outcome]) -> list[ErrorCode | None]:
    return [None if outcome.error is None else outcome.error.code for outcome in outcomes]


def messages(store: Store, room: str) -> list[dict[str, Any]]:
    page = store.read(queries.history, None, key(room), None, 0, 1_000).result(60)
    assert page is not None
    return list(page["messages"])


def test_a_message_has_the_shape_of_the_wire(store: Store, room: str) -> None:
    command = send(
        room,
        "ann",
        "你好 👋",
        message_id="msg_1",
        client_msg_id="c1",
        extra_metadata='{"a":[1,null,"é"]}',
        is_important=True,
        priority="high",
    )
    (outcome,) = do(store, command)
    assert outcome.reply == {
        "duplicate": False,
        "message": {
            "id": "msg_1",
            "conversation_id": "room",
            "seq": 2,
            "change_seq": 2,
            "sender_id": "ann",
            "sender_name": "Ann",
            "sender_type": "chat",
            "message_type": "text",
            "content": "你好 👋",
            "is_important": True,
            "priority": "high",
            "reply_to": None,
            "extra_metadata": {"a": [1, None, "é"]},
            "body": None,
            "link_preview": None,
            "client_msg_id": "c1",
            "created_at": "2026-01-02T03:04:06.678Z",
            "edited_at": None,
            "recalled_at": None,
            "mentions": [],
            "forwarded_from": None,
            "reactions": [],
            "pinned_at": None,
            "pinned_by": None,
        },
    }
    (change,) = outcome.changes
    assert (change.conversation_key, change.change_seq, change.type) == (
        key(room),
        2,
        "new_message",
    )
    assert change.data == outcome.reply["message"]
    assert change.audience.members == {key("ann"), key("bob")}
    assert messages(store, room) == [outcome.reply["message"]]


def test_numbers_follow_the_order_of_the_commands(store: Store, room: str) -> None:
    outcomes = do(store, *[send(room, "ann", str(n)) for n in range(100)])
    assert [outcome.changes[0].change_seq for outcome in outcomes] == list(range(2, 102))
    assert [message["content"] for message in messages(store, room)] == [str(n) for n in range(100)]


def test_the_same_client_msg_id_gives_the_stored_message_and_its_change_again(
    store: Store, room: str
) -> None:
    first = reply(store, send(room, "ann", client_msg_id="once"))
    (again,) = do(store, send(room, "ann", "other text", client_msg_id="once"))
    assert again.reply == {"message": first["message"], "duplicate": True}
    assert [change.data for change in again.changes] == [first["message"]]
    assert len(messages(store, room)) == 1


def test_the_same_client_msg_id_twice_in_one_batch_is_one_message(store: Store, room: str) -> None:
    first, second = do(
        store, send(room, "ann", client_msg_id="once"), send(room, "ann", client_msg_id="once")
    )
    assert first.reply is not None
    assert second.reply is not None
    assert (first.reply["duplicate"], second.reply["duplicate"]) == (False, True)
    assert first.reply["message"] == second.reply["message"]
    assert len(messages(store, room)) == 1


def test_the_same_command_again_is_the_same_attempt_and_no_duplicate(
    store: Store, room: str
) -> None:
    command = send(room, "ann")
    first, second = reply(store, command), reply(store, command)
    assert first == second
    assert second["duplicate"] is False
    assert len(messages(store, room)) == 1


def test_a_stored_message_is_a_duplicate_to_its_sender_after_he_was_removed(
    store: Store, room: str
) -> None:
    first = reply(store, send(room, "bob", client_msg_id="once"))
    do(store, remove(room, "ann", "bob"))
    again, new, stranger = do(
        store,
        send(room, "bob", client_msg_id="once"),
        send(room, "bob", client_msg_id="other"),
        send(room, "eve", client_msg_id="once"),
    )
    assert again.reply == {"message": first["message"], "duplicate": True}
    assert [change.audience.members for change in again.changes] == [{key("ann")}]
    assert codes([new, stranger]) == [ErrorCode.NOT_FOUND] * 2
    assert len(messages(store, room)) == 1


def test_two_senders_may_use_the_same_client_msg_id(store: Store, room: str) -> None:
    outcomes = do(
        store, send(room, "ann", client_msg_id="once"), send(room, "bob", client_msg_id="once")
    )
    assert [outcome.changes[0].change_seq for outcome in outcomes] == [2, 3]


def test_strangers_and_senders_to_nowhere_get_the_same_answer(store: Store, room: str) -> None:
    stranger, nowhere = do(store, send(room, "eve"), send("nowhere", "eve"))
    assert codes([stranger, nowhere]) == [ErrorCode.NOT_FOUND] * 2
    assert stranger.error is not None
    assert nowhere.error is not None
    assert stranger.error.message == nowhere.error.message
    assert messages(store, room) == []


def test_only_services_send_into_a_system_conversation(store: Store) -> None:
    reply(store, create("news", "ann", "bob", kind="system"))
    outcomes = do(
        store,
        send("news", "ann"),
        send("news", "eve"),
        send("news", "robot", as_member=False, sender_type="system"),
    )
    assert codes(outcomes) == [ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, None]


def test_a_service_sends_where_it_is_not_a_member_but_not_to_nowhere_or_another_tenant(
    store: Store, room: str
) -> None:
    foreign = send(room, "robot", as_member=False)
    foreign.sender_key = "globex/robot"
    outcomes = do(
        store,
        send(room, "robot", as_member=False),
        send("nowhere", "robot", as_member=False),
        foreign,
    )
    assert codes(outcomes) == [None, ErrorCode.NOT_FOUND, ErrorCode.NOT_FOUND]


def test_a_reply_is_to_a_message_of_the_same_conversation(store: Store, room: str) -> None:
    reply(store, create("elsewhere", "ann"))
    outcomes = do(
        store,
        send(room, "ann", message_id="msg_here"),
        send("elsewhere", "ann", message_id="msg_there"),
        send(room, "bob", reply_to="msg_here"),
        send(room, "bob", reply_to="msg_there"),
        send(room, "bob", reply_to="msg_never"),
    )
    assert codes(outcomes) == [None, None, None, ErrorCode.BAD_REQUEST, ErrorCode.BAD_REQUEST]
    assert codes(do(store, send(room, "bob", reply_to="msg_here"))) == [None]
    assert [message["seq"] for message in messages(store, room)] == [2, 3, 4]


def test_a_batch_keeps_the_order_of_sends_and_membership(store: Store, room: str) -> None:
    outcomes = do(
        store,
        send(room, "bob", "before"),
        remove(room, "ann", "bob"),
        send(room, "bob", "while out"),
        add(room, "ann", "bob", at=NOW + 9_000),
        send(room, "bob", "back"),
    )
    assert codes(outcomes) == [None, None, ErrorCode.NOT_FOUND, None, None]
    assert [m["content"] for m in messages(store, room)] == ["before", "back"]
    numbers = [change.change_seq for outcome in outcomes for change in outcome.changes]
    assert numbers == [2, 3, 4, 5]


def test_the_same_membership_is_handed_out_as_the_same_object(store: Store, room: str) -> None:
    first, second = do(store, send(room, "ann")), do(store, send(room, "bob"), send(room, "ann"))
    audience = first[0].changes[0].audience
    assert all(outcome.changes[0].audience is audience for outcome in second)
    do(store, remove(room, "ann", "bob"))
    (after,) = do(store, send(room, "ann"))
    assert after.changes[0].audience.version > audience.version
    assert after.changes[0].audience.members == {key("ann")}


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_value_that_the_database_refuses_fails_its_own_command_only(
    store: Store,
    room: str,
    count: int,
    caplog: pytest.LogCaptureFixture,
    expect_log: Callable[[str], None],
) -> None:
    expect_log("SendMessage failed")
    bad = [send(room, "ann", "secret", created_at=2**70) for _ in range(count)]
    outcomes = do(
        store, send(room, "ann", "1"), *bad, send(room, "bob", "2"), add(room, "ann", "c")
    )
    assert codes(outcomes) == [None, *[ErrorCode.INTERNAL] * count, None, None]
    assert [(m["content"], m["seq"]) for m in messages(store, room)] == [("1", 2), ("2", 3)]
    lines = [record.getMessage() for record in caplog.records if record.name == "anmei.db"]
    assert len(lines) == count
    assert "secret" not in "".join(lines)
    assert codes(do(store, send(room, "c", "3"))) == [None]


def test_membership_that_was_rolled_back_is_not_remembered(
    store: Store, room: str, expect_log: Callable[[str], None]
) -> None:
    expect_log("failed")
    # The failing batch gives the next version to "eve", rolls it back, and gives it to "joe".
    bad = send(room, "ann", created_at=2**70)
    bad.conversation_key = key("other")
    reply(store, create("other", "ann"))
    broken = add(room, "ann", "eve", at=2**70)
    outcomes = do(store, broken, bad)
    assert codes(outcomes) == [ErrorCode.INTERNAL] * 2
    assert codes(do(store, add(room, "ann", "joe"))) == [None]
    assert codes(do(store, send(room, "eve"), send(room, "joe"))) == [ErrorCode.NOT_FOUND, None]


def test_text_that_postgresql_cannot_keep_is_refused_on_both(store: Store, room: str) -> None:
    assert codes(do(store, send(room, "ann", "a\0b"))) == [ErrorCode.BAD_REQUEST]
