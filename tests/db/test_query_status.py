"""Who has received and read a message, and when."""

from typing import Any

import pytest

from anmei.errors import AnmeiError
from db import queries
from db.store import Store
from db.write_marks import KEPT_MOVES, MOST_TIMED
from tests.db.chat import NOW, add, create, delivered, do, key, read, remove, reply, send
from tests.db.test_query_unread import personal, written


def status(
    store: Store,
    message_id: str,
    asker: str | None = "ann",
    cursor: str | None = None,
    limit: int = 9,
) -> dict[str, Any] | None:
    who = None if asker is None else key(asker)
    return store.read(queries.message_status, "acme", who, message_id, cursor, limit).result(60)


def shown(store: Store, message_id: str) -> dict[str, tuple[Any, ...]]:
    """By user: what they have reached, and the seconds after `NOW` at which they did."""
    found = status(store, message_id)
    assert found is not None
    return {
        one["user_id"]: (one["status"], seconds(one["delivered_at"]), seconds(one["read_at"]))
        for one in found["receipts"]
    }


def seconds(time: str | None) -> int | None:
    return None if time is None else int(time[17:19]) - 5


@pytest.fixture
def message(store: Store) -> str:
    do(store, create("room", "ann", "bob", "cid"))
    return str(reply(store, send("room", "ann"))["message"]["id"])


def at(seconds: int) -> int:
    return NOW + seconds * 1_000


def test_a_message_is_what_all_its_recipients_have_reached(store: Store, message: str) -> None:
    def state() -> tuple[Any, ...]:
        found = status(store, message)
        assert found is not None
        return found["status"], found["recipients"], found["delivered"], found["read"]

    assert state() == ("sent", 2, 0, 0)
    do(store, read("room", "bob", 2))
    assert state() == ("sent", 2, 1, 1)
    do(store, delivered("room", "cid", 2))
    assert state() == ("delivered", 2, 2, 1)
    do(store, read("room", "cid", 2))
    assert state() == ("read", 2, 2, 2)


def test_each_is_told_with_the_time_of_the_move_that_went_over_the_message(
    store: Store, message: str
) -> None:
    later = reply(store, send("room", "ann"))["message"]["id"]
    for seq, second, kind in ((2, 1, delivered), (2, 2, read), (3, 3, delivered), (3, 4, read)):
        command = kind("room", "bob", seq)
        command.at = at(second)
        do(store, command)
    assert shown(store, message) == {"bob": ("read", 1, 2), "cid": ("sent", None, None)}
    assert shown(store, later)["bob"] == ("read", 3, 4)


def test_what_moved_in_one_transaction_has_one_time(store: Store, message: str) -> None:
    one, two = delivered("room", "bob", 2), read("room", "bob", 2)
    one.at, two.at = at(1), at(2)
    do(store, one, two)
    assert shown(store, message)["bob"] == ("read", 2, 2)


def test_a_time_that_is_forgotten_is_not_guessed(store: Store, message: str) -> None:
    do(store, read("room", "bob", 2))
    assert shown(store, message)["bob"] == ("read", 0, 0)
    for number in range(KEPT_MOVES):
        do(store, send("room", "ann"), delivered("room", "bob", 3 + number))
    assert shown(store, message)["bob"] == ("read", None, None)


def test_in_a_large_conversation_it_is_known_who_but_not_when(store: Store) -> None:
    do(store, create("hall", "ann", *[f"u{number}" for number in range(MOST_TIMED)]))
    message = reply(store, send("hall", "ann"))["message"]["id"]
    do(store, read("hall", "u1", 2))
    found = status(store, message, limit=2)
    assert found is not None
    assert (found["recipients"], found["read"]) == (MOST_TIMED, 1)
    assert found["receipts"][1]["status"] == "read"
    assert found["receipts"][1]["read_at"] is None


def test_who_came_later_or_left_is_no_recipient(store: Store, message: str) -> None:
    do(store, add("room", "ann", "dan"), remove("room", "ann", "cid"))
    assert set(shown(store, message)) == {"bob"}


def test_only_the_sender_is_told_and_only_while_in_the_conversation(
    store: Store, message: str
) -> None:
    assert status(store, message, "bob") is None
    assert status(store, message, None) is not None
    assert status(store, "msg_absent") is None
    elsewhere = store.read(queries.message_status, "other", None, message, None, 9).result(60)
    assert elsewhere is None
    mine = reply(store, send("room", "bob"))["message"]["id"]
    assert status(store, mine, "bob") is not None
    do(store, remove("room", "ann", "bob"))
    assert status(store, mine, "bob") is None


def test_a_page_ends_with_the_cursor_of_the_next(store: Store, message: str) -> None:
    first = status(store, message, limit=1)
    assert first is not None
    assert [one["user_id"] for one in first["receipts"]] == ["bob"]
    second = status(store, message, cursor=first["next_cursor"], limit=1)
    assert second is not None
    assert [one["user_id"] for one in second["receipts"]] == ["cid"]
    assert second["next_cursor"] is None
    with pytest.raises(AnmeiError, match="cursor"):
        status(store, message, cursor="nonsense")


def test_a_personal_message_is_told_from_the_rows_of_its_recipients(store: Store) -> None:
    personal(store, "msg_note", key("bob"), "text", True)
    written(
        store,
        "UPDATE message_recipients SET delivered_at = %s, read_at = %s WHERE recipient_key = %s",
        (at(1), at(2), key("bob")),
    )
    found = status(store, "msg_note", "shop")
    assert found is not None
    assert (found["conversation_id"], found["status"], found["read"]) == (None, "read", 1)
    assert found["receipts"] == [
        {
            "user_id": "bob",
            "name": "bob",
            "status": "read",
            "delivered_at": "2026-01-02T03:04:06.678Z",
            "read_at": "2026-01-02T03:04:07.678Z",
        }
    ]
