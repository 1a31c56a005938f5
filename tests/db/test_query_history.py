import pytest

from db import queries
from db.store import Store
from tests.db.chat import add, change, create, do, key, remove, reply, send


@pytest.fixture
def room(store: Store) -> str:
    """Made at 1, messages 2 to 4, Cid comes at 5, messages 6 to 8."""
    reply(store, create("room", "ann", "bob"))
    do(store, *[send("room", "ann", str(n)) for n in (2, 3, 4)])
    do(store, add("room", "ann", "cid"))
    do(store, *[send("room", "bob", str(n)) for n in (6, 7, 8)])
    return "room"


def page(store: Store, before: int | None, after: int | None, limit: int) -> tuple[list[int], bool]:
    found = store.read(queries.history, key("ann"), key("room"), before, after, limit).result(60)
    assert found is not None
    return [message["seq"] for message in found["messages"]], found["has_more"]


def test_history_pages_both_ways_and_always_ascends(store: Store, room: str) -> None:
    assert page(store, None, None, 4) == ([4, 6, 7, 8], True)
    assert page(store, 4, None, 4) == ([2, 3], False)
    assert page(store, None, 3, 2) == ([4, 6], True)
    assert page(store, None, 6, 2) == ([7, 8], False)
    assert page(store, 8, 2, 10) == ([3, 4, 6, 7], False)
    assert page(store, None, 2**80, 10) == ([], False)
    assert page(store, -(2**80), None, 10) == ([], False)


def test_a_page_of_long_messages_ends_early_and_says_that_there_are_more(store: Store) -> None:
    reply(store, create("room", "ann"))
    # 5 x 52,500 bytes are more than a page, however few characters they are.
    do(store, *[send("room", "ann", "茶" * 17_500) for _ in range(7)])
    assert page(store, None, None, 200) == ([5, 6, 7, 8], True)
    assert page(store, 5, None, 200) == ([2, 3, 4], False)
    assert page(store, None, 1, 200) == ([2, 3, 4, 5], True)
    assert page(store, None, 5, 200) == ([6, 7, 8], False)
    assert page(store, None, None, 2) == ([7, 8], True)


def test_a_message_longer_than_a_page_is_a_page(store: Store) -> None:
    reply(store, create("room", "ann"))
    do(store, *[send("room", "ann", "x" * 300_000) for _ in range(2)])
    assert page(store, None, None, 200) == ([3], True)
    assert page(store, 3, None, 200) == ([2], False)


def test_what_an_app_adds_to_messages_counts_too(store: Store) -> None:
    reply(store, create("room", "ann"))
    added = '{"a":"' + "x" * 8_000 + '"}'
    do(store, *[send("room", "ann", extra_metadata=added) for _ in range(40)])
    seqs, more = page(store, None, None, 200)
    assert (len(seqs), more) == (32, True)


def test_history_is_for_members(store: Store, room: str) -> None:
    def seen_by(user: str | None, where: str) -> bool:
        who = None if user is None else key(user)
        return store.read(queries.history, who, key(where), None, None, 5).result(60) is not None

    do(store, remove(room, "bob", "bob"))
    assert [seen_by("ann", room), seen_by(None, room)] == [True, True]
    assert not any(
        [seen_by("eve", room), seen_by("bob", room), seen_by("ann", "no"), seen_by(None, "no")]
    )


def numbers(backlog: queries.Backlog) -> list[tuple[int, str]]:
    assert all(data["change_seq"] == number for number, _, data in backlog.events)
    return [(number, type) for number, type, _ in backlog.events]


def test_changes_merge_messages_and_the_conversations_own(store: Store, room: str) -> None:
    def found(after: int, limit: int = 100) -> list[tuple[int, str]]:
        backlog = store.read(queries.changes, key(room), after, limit).result(60)
        assert backlog.head == 8
        return numbers(backlog)

    message, changed = "new_message", "conversation_updated"
    assert found(3, 2) == [(4, message), (5, changed), (6, message)]
    assert found(0) == [(n, changed if n == 5 else message) for n in range(2, 9)]
    assert found(0, 4) == [(n, changed if n == 5 else message) for n in range(2, 7)]
    assert found(0, 3) == [(2, message), (3, message), (4, message)]
    assert found(4, 1) == [(5, changed), (6, message)]
    assert found(8) == []
    assert store.read(queries.changes, key("nowhere"), 0, 9).result(60) == ([], 0, True)
    (_, _, data), _ = store.read(queries.changes, key(room), 4, 1).result(60).events
    assert data["conversation_id"] == room
    assert [who["user_id"] for who in data["conversation"]["participants"]] == ["ann", "bob", "cid"]


def test_changes_are_the_same_events_that_were_handed_out_live(store: Store) -> None:
    reply(store, create("live", "ann", "bob"))
    outcomes = do(store, *[send("live", "ann", str(n)) for n in range(3)])
    outcomes += do(store, remove("live", "ann", "bob"))
    live = [(c.change_seq, c.type, c.data) for outcome in outcomes for c in outcome.changes]
    assert store.read(queries.changes, key("live"), 1, 99).result(60) == (live, 5, True)


def test_the_newest_page_ascends_and_begins_above_a_number(store: Store, room: str) -> None:
    def found(limit: int) -> tuple[int, list[int]]:
        begun, backlog = store.read(queries.newest, key(room), limit).result(60)
        assert backlog.head == 8
        return begun, [number for number, _ in numbers(backlog)]

    assert found(3) == (5, [6, 7, 8])
    assert found(4) == (3, [4, 5, 6, 7, 8])
    assert found(99) == (1, [2, 3, 4, 5, 6, 7, 8])


def test_the_newest_page_goes_by_seq_and_holds_what_changed_since(store: Store) -> None:
    reply(store, create("room", "ann"))
    do(store, *[send("room", "ann", message_id=f"msg_{n}") for n in range(2, 8)])
    do(store, change.edit("msg_2", "ann", "old"), change.edit("msg_6", "ann", "new"))
    begun, backlog = store.read(queries.newest, key("room"), 2).result(60)
    assert (begun, backlog.head) == (5, 9)
    assert numbers(backlog) == [(7, "new_message"), (9, "new_message")]
    backlog = store.read(queries.changes, key("room"), 6, 9).result(60)
    assert [event[1:] for event in numbers(backlog)] == [
        ("new_message",),
        ("message_updated",),
        ("message_updated",),
    ]
    assert [data["seq"] for _, _, data in backlog.events] == [7, 2, 6]


def test_the_newest_page_of_a_conversation_without_messages_is_the_conversation(
    store: Store,
) -> None:
    reply(store, create("empty", "ann"))
    begun, backlog = store.read(queries.newest, key("empty"), 9).result(60)
    assert (begun, numbers(backlog), backlog.head) == (0, [(1, "conversation_updated")], 1)
    assert store.read(queries.newest, key("nowhere"), 9).result(60) == (0, ([], 0, True))


def test_pages_of_long_messages_end_early_and_say_so(store: Store) -> None:
    reply(store, create("long", "ann"))
    do(store, *[send("long", "ann", "语" * 30_000) for _ in range(5)])
    do(store, send("long", "ann", "short"))
    after, pages = 1, []
    while True:
        backlog = store.read(queries.changes, key("long"), after, 99).result(60)
        pages.append([number for number, _ in numbers(backlog)])
        if backlog.whole:
            break
        after = pages[-1][-1]
    # 90 KB each, and a page ends with the message that passes 256 KiB.
    assert pages == [[2, 3, 4], [5, 6, 7]]
    begun, backlog = store.read(queries.newest, key("long"), 99).result(60)
    assert (begun, [number for number, _ in numbers(backlog)]) == (4, [5, 6, 7])
    assert not store.read(queries.hole, key("long"), 1).result(60)[0].whole


def test_how_far_behind_somebody_is_is_not_counted_to_the_end(store: Store, room: str) -> None:
    def found(after: int, most: int) -> int:
        return store.read(queries.distance, key(room), after, most).result(60)

    assert [found(0, 99), found(3, 99), found(8, 99), found(0, 4), found(2**80, 4)] == [
        6,
        4,
        0,
        4,
        0,
    ]
    assert store.read(queries.distance, key("nowhere"), 0, 9).result(60) == 0


def test_what_moved_on_is_found_among_very_many(store: Store, room: str) -> None:
    reply(store, create("still", "ann"))
    known = [(key(f"gone{n}"), 0) for n in range(40_000)]
    known += [(key(room), 7), (key("still"), 1)]
    assert store.read(queries.changed_since, known).result(60) == [(key(room), 8)]
    assert store.read(queries.changed_since, []).result(60) == []


def test_an_audience_is_read_with_its_version(store: Store, room: str) -> None:
    audience = store.read(queries.audience, key(room)).result(60)
    assert audience is not None
    assert audience.version == 2
    assert audience.members == {key("ann"), key("bob"), key("cid")}
    assert store.read(queries.audience, key("nowhere")).result(60) is None
