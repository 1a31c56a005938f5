from typing import Any

import pytest

from anmei.codec import encode
from anmei.errors import AnmeiError, ErrorCode
from db import queries
from db.store import Store
from tests.db.chat import NOW, add, create, delivered, do, key, read, remove, reply, send, touch


def test_a_head_has_the_shape_of_the_wire(store: Store) -> None:
    do(store, touch("ann"), create("room", "ann", "bob", title="Tea"))
    message = reply(store, send("room", "bob", "hi"))["message"]
    do(store, delivered("room", "ann", 2))
    head = store.read(queries.conversation, key("ann"), key("room")).result(60)
    assert head == {
        "conversation_id": "room",
        "kind": "group",
        "title": "Tea",
        "owner_id": "ann",
        "last_seq": 2,
        "change_seq": 2,
        "last_read_seq": 0,
        "last_delivered_seq": 2,
        "unread": 1,
        "participant_count": 2,
        "participants": [
            {
                "user_id": "ann",
                "name": "Ann",
                "role": "owner",
                "last_read_seq": 0,
                "last_delivered_seq": 2,
            },
            {
                "user_id": "bob",
                "name": "bob",
                "role": "member",
                "last_read_seq": 0,
                "last_delivered_seq": 0,
            },
        ],
        "created_at": "2026-01-02T03:04:05.678Z",
        "updated_at": "2026-01-02T03:04:06.678Z",
        "last_message": message,
    }
    assert list(head)[-1] == "last_message"


def test_a_conversation_is_seen_by_its_members_and_the_privileged(store: Store) -> None:
    do(store, create("room", "ann", "bob"), send("room", "ann"), remove("room", "bob", "bob"))
    for user in ("eve", "bob"):
        assert store.read(queries.conversation, key(user), key("room")).result(60) is None
    assert store.read(queries.conversation, key("ann"), key("nowhere")).result(60) is None
    head = store.read(queries.conversation, None, key("room")).result(60)
    assert head is not None
    assert (head["unread"], head["last_read_seq"], head["last_seq"]) == (0, 0, 2)


def test_heads_come_newest_first_page_by_page(store: Store) -> None:
    for number in range(7):
        # Two at a time are changed at the same moment.
        do(store, create(f"room{number}", "ann", created_at=NOW + number // 2))
    do(store, create("other", "bob"))
    found: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page, cursor = store.read(queries.heads, key("ann"), cursor, 3).result(60)
        found += [head["conversation_id"] for head in page]
        pages += 1
    assert found == [f"room{number}" for number in (6, 5, 4, 3, 2, 1, 0)]
    assert pages == 3


@pytest.mark.parametrize(
    "cursor", ["", "x", "WzFd", "WyJhIiwxXQ", "bnVsbA", "é", "WzEsOTk5OTk5OTk5OTk5OTk5OTk5OTk5OV0"]
)
def test_a_cursor_that_is_none_is_a_bad_request(store: Store, cursor: str) -> None:
    with pytest.raises(AnmeiError) as caught:
        store.read(queries.heads, key("ann"), cursor, 3).result(60)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert store.read(queries.ping).result(60) is True


def test_the_attach_view_has_all_places_and_the_newest_heads(store: Store) -> None:
    for number in range(5):
        do(store, create(f"room{number}", "ann", "bob", created_at=NOW + number))
    do(
        store,
        touch("ann", "phone"),
        send("room1", "bob", created_at=NOW + 50),
        delivered("room1", "ann", 2, device_id="phone"),
        remove("room0", "ann", "bob", at=NOW + 10),
    )
    view = store.read(queries.attach_view, key("ann"), "phone", 2).result(60)
    assert view.places == [
        (key("room1"), 2, 2, 2, 2, 1),
        (key("room0"), 2, None, 0, 1, 1),
        (key("room4"), 1, None, 0, 2, 1),
        (key("room3"), 1, None, 0, 2, 1),
        (key("room2"), 1, None, 0, 2, 1),
    ]
    assert [head["conversation_id"] for head in view.heads] == ["room1", "room0"]
    assert view.heads[0] == store.read(queries.conversation, key("ann"), key("room1")).result(60)
    assert view.has_more is True
    bobs = store.read(queries.attach_view, key("bob"), "phone", 4).result(60)
    assert [place[0] for place in bobs.places] == [key(f"room{n}") for n in (1, 4, 3, 2)]
    assert bobs.has_more is False
    nobodys = store.read(queries.attach_view, key("eve"), "phone", 4).result(60)
    nobody = (key("eve") + "!inbox", 0, None, 0, 1, 0)
    assert nobodys == ([], [], False, False, "online", nobody, 0)
    one = store.read(queries.attach_view, key("bob"), "phone", 4, key("room3")).result(60)
    assert [place.conversation_key for place in one.places] == [key("room3")]
    assert [head["conversation_id"] for head in one.heads] == ["room3"]


def test_unread_counts_others_messages_and_not_numbers(store: Store) -> None:
    do(store, create("room", "ann", "bob"), create("quiet", "ann", "bob"))
    do(store, send("room", "bob"), send("room", "ann"), remove("quiet", "ann", "bob"))
    do(store, send("room", "bob"), send("quiet", "ann"))
    assert store.read(queries.unread, key("ann")).result(60) == {
        "total": 2,
        "inbox": 0,
        "conversations": {"room": 2},
        "by_type": {"text": 2},
        "by_priority": {"normal": 2},
    }
    assert store.read(queries.conversation_unread, key("ann"), key("room")).result(60) == 2
    assert store.read(queries.conversation_unread, key("bob"), key("quiet")).result(60) is None
    do(store, read("room", "ann", 4))
    assert store.read(queries.unread, key("ann")).result(60)["total"] == 0


def test_the_attach_view_knows_a_device_and_where_its_user_came_in(store: Store) -> None:
    do(store, create("room", "ann"), send("room", "ann"), add("room", "ann", "bob"))

    def joined() -> list[int]:
        view = store.read(queries.attach_view, key("bob"), "phone", 4).result(60)
        return [place.joined_seq for place in view.places]

    assert joined() == [3]
    do(store, remove("room", "ann", "bob"), send("room", "ann"))
    do(store, add("room", "ann", "bob", at=NOW + 9_000))
    assert joined() == [6]

    def known(user: str, device: str) -> bool:
        return store.read(queries.attach_view, key(user), device, 4).result(60).device_known

    assert not known("bob", "phone")
    do(store, touch("bob", "phone"))
    assert known("bob", "phone")
    assert not known("bob", "laptop")
    assert not known("ann", "phone")


def test_a_long_last_message_is_cut_in_heads_and_whole_in_the_history(store: Store) -> None:
    reply(store, create("room", "ann"))

    def last(content: str) -> dict[str, Any]:
        do(store, send("room", "ann", content))
        head = store.read(queries.conversation, key("ann"), key("room")).result(60)
        assert head is not None
        return dict(head["last_message"])

    whole = last("茶" * 2_048)
    assert whole["content"] == "茶" * 2_048
    assert "content_truncated" not in whole
    cut = last("👋" * 2_049)
    assert cut["content"] == "👋" * 2_048
    assert cut["content_truncated"] is True
    page = store.read(queries.history, key("ann"), key("room"), None, None, 1).result(60)
    assert page is not None
    assert page["messages"][0]["content"] == "👋" * 2_049


def test_heads_end_where_they_would_take_too_much_and_go_on_behind_it(store: Store) -> None:
    added = '{"a":"' + "x" * 8_000 + '"}'
    for number in range(100):
        do(store, create(f"room{number}", "ann", created_at=NOW + number))
        do(store, send(f"room{number}", "ann", extra_metadata=added, created_at=NOW + number))
    view = store.read(queries.attach_view, key("ann"), "phone", 100).result(60)
    assert len(view.places) == 100
    assert view.has_more is True
    assert 50 < len(view.heads) < 65
    assert len(encode(view.heads)) <= 524_288
    first, cursor = store.read(queries.heads, key("ann"), None, 100).result(60)
    assert first == view.heads
    rest, end = store.read(queries.heads, key("ann"), cursor, 100).result(60)
    assert end is None
    names = [head["conversation_id"] for head in first + rest]
    assert names == [f"room{number}" for number in reversed(range(100))]
