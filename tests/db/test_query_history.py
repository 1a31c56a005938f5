import pytest

from db import queries
from db.store import Store
from tests.db.chat import add, create, do, key, remove, reply, send


@pytest.fixture
def room(store: Store) -> str:
    """Made at 1, messages 2 to 4, Cid comes at 5, messages 6 to 8."""
    reply(store, create("room", "ann", "bob"))
    do(store, *[send("room", "ann", str(n)) for n in (2, 3, 4)])
    do(store, add("room", "ann", "cid"))
    do(store, *[send("room", "bob", str(n)) for n in (6, 7, 8)])
    return "room"


def page(store: Store, before: int | None, after: int | None, limit: int) -> tuple[list[int], bool]:
    found = store.read(queries.history, key("ann"), key("room"), before, after, limit).result(10)
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
        return store.read(queries.history, who, key(where), None, None, 5).result(10) is not None

    do(store, remove(room, "bob", "bob"))
    assert [seen_by("ann", room), seen_by(None, room)] == [True, True]
    assert not any(
        [seen_by("eve", room), seen_by("bob", room), seen_by("ann", "no"), seen_by(None, "no")]
    )


def test_changes_merge_messages_and_the_conversations_own(store: Store, room: str) -> None:
    def found(after: int, upto: int | None, limit: int = 100) -> list[tuple[int, str]]:
        events = store.read(queries.changes, key(room), after, upto, limit).result(10)
        assert all(data["change_seq"] == number for number, _, data in events)
        return [(number, type) for number, type, _ in events]

    message, changed = "new_message", "conversation_updated"
    assert found(3, 6) == [(4, message), (5, changed), (6, message)]
    assert found(0, None) == [(n, changed if n == 5 else message) for n in range(2, 9)]
    assert found(0, None, 4) == [(2, message), (3, message), (4, message), (5, changed)]
    assert found(4, 5, 1) == [(5, changed)]
    assert found(8, None) == []
    assert store.read(queries.changes, key("nowhere"), 0, None, 9).result(10) == []
    ((_, _, data),) = store.read(queries.changes, key(room), 4, 5, 9).result(10)
    assert data["conversation_id"] == room
    assert [who["user_id"] for who in data["conversation"]["participants"]] == ["ann", "bob", "cid"]


def test_changes_are_the_same_events_that_were_handed_out_live(store: Store) -> None:
    reply(store, create("live", "ann", "bob"))
    outcomes = do(store, *[send("live", "ann", str(n)) for n in range(3)])
    outcomes += do(store, remove("live", "ann", "bob"))
    live = [(c.change_seq, c.type, c.data) for outcome in outcomes for c in outcome.changes]
    assert store.read(queries.changes, key("live"), 1, None, 99).result(10) == live


def test_the_newest_page_ascends_and_ends_at_the_mark(store: Store, room: str) -> None:
    def found(upto: int | None, limit: int) -> list[int]:
        events = store.read(queries.newest, key(room), upto, limit).result(10)
        return [number for number, _, _ in events]

    assert found(None, 3) == [6, 7, 8]
    assert found(None, 4) == [5, 6, 7, 8]
    assert found(6, 2) == [5, 6]
    assert found(None, 99) == [2, 3, 4, 5, 6, 7, 8]


def test_changes_of_many_come_from_one_moment(store: Store, room: str) -> None:
    reply(store, create("two", "ann"))
    wanted = [(key(room), 7, None), (key("two"), 0, 9), (key("nowhere"), 0, None)]
    found = store.read(queries.changes_many, wanted, 10).result(10)
    assert {name: [event[0] for event in events] for name, events in found.items()} == {
        key(room): [8],
        key("two"): [1],
        key("nowhere"): [],
    }


def test_what_moved_on_is_found_among_very_many(store: Store, room: str) -> None:
    reply(store, create("still", "ann"))
    known = [(key(f"gone{n}"), 0) for n in range(40_000)]
    known += [(key(room), 7), (key("still"), 1)]
    assert store.read(queries.changed_since, known).result(30) == [(key(room), 8)]
    assert store.read(queries.changed_since, []).result(10) == []


def test_an_audience_is_read_with_its_version(store: Store, room: str) -> None:
    audience = store.read(queries.audience, key(room)).result(10)
    assert audience is not None
    assert audience.version == 2
    assert audience.members == {key("ann"), key("bob"), key("cid")}
    assert store.read(queries.audience, key("nowhere")).result(10) is None
