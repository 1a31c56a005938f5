"""The backlogs of many conversations are what each of them would answer by itself."""

import random

import pytest

from db import queries
from db.store import Store
from tests.db.chat import add, change, create, do, key, send

ROOMS = ("room", "busy", "quiet", "changed")
NOWHERE = key("nowhere")


@pytest.fixture
def rooms(store: Store) -> Store:
    """`room` has 2 to 4, Cid's coming at 5, and 6; `busy` has 2 to 31; `quiet` nothing but its
    beginning; `changed` 2 to 4, of which 2 was changed at 5, and Cid's coming at 6."""
    do(store, *[create(name, "ann", "bob") for name in ROOMS])
    do(store, *[send("room", "ann") for _ in range(3)])
    do(store, add("room", "ann", "cid"), send("room", "bob"))
    do(store, *[send("busy", "bob") for _ in range(30)])
    do(store, *[send("changed", "ann", message_id=f"msg_{n}") for n in (2, 3, 4)])
    do(store, change.edit("msg_2", "ann", "other"), add("changed", "ann", "cid"))
    return store


def many(store: Store, wanted: list[tuple[str, int]], limit: int) -> dict[str, queries.Backlog]:
    return store.read(queries.changes_many, wanted, limit).result(60)


def one(store: Store, name: str, after: int, limit: int) -> queries.Backlog:
    return store.read(queries.changes, name, after, limit).result(60)


def test_those_that_fit_are_the_same_as_one_by_one(rooms: Store) -> None:
    chance = random.Random(3)
    for _ in range(12):
        names = [*map(key, ROOMS), NOWHERE]
        chance.shuffle(names)
        wanted = [(name, chance.choice([-1, 0, 1, 4, 5, 30, 2**80])) for name in names]
        found = many(rooms, wanted, 100)
        assert found == {name: one(rooms, name, after, 100) for name, after in wanted}


def test_what_does_not_fit_is_left_out_and_asked_for_next(rooms: Store) -> None:
    wanted = [(key("room"), 1), (key("quiet"), 0), (key("busy"), 10), (key("changed"), 3)]
    found = many(rooms, wanted, 10)
    # Four messages, and six of 21: the last one was not looked at.
    assert list(found) == [key("room"), key("quiet"), key("busy")]
    assert found[key("busy")] == one(rooms, key("busy"), 10, 6)
    assert [backlog.whole for backlog in found.values()] == [True, True, False]
    # Where the end of a page is the end of a conversation, that one is whole.
    found = many(rooms, wanted, 4)
    assert list(found) == [key("room"), key("quiet")]
    assert all(backlog.whole for backlog in found.values())
    found = many(rooms, wanted[2:], 1)
    assert found == {key("busy"): one(rooms, key("busy"), 10, 1)}


def test_a_page_of_several_is_bounded_in_bytes_too(store: Store) -> None:
    names = [key(f"long{number}") for number in range(4)]
    for number in range(4):
        do(store, create(f"long{number}", "ann"))
        do(store, *[send(f"long{number}", "ann", "语" * 20_000) for _ in range(3)])
    # 60 KB each, and 256 KiB are four of them.
    found = many(store, [(name, 1) for name in names], 100)
    assert {name: len(backlog.events) for name, backlog in found.items()} == {
        names[0]: 3,
        names[1]: 1,
    }
    assert [backlog.whole for backlog in found.values()] == [True, False]
    assert list(store.read(queries.newest_many, names).result(60)) == names
    more = [key(f"more{number}") for number in range(3)]
    for name in ("more0", "more1", "more2"):
        do(store, create(name, "ann"), send(name, "ann", "x" * 150_000))
    assert list(store.read(queries.newest_many, more).result(60)) == more[:1]


def test_the_newest_messages_of_many_are_the_same_as_one_by_one(rooms: Store) -> None:
    names = [*map(key, ROOMS), NOWHERE]
    found = rooms.read(queries.newest_many, names).result(60)
    assert found == {name: rooms.read(queries.newest, name, 1).result(60) for name in names}
    begun, backlog = found[key("changed")]
    assert (begun, [event[:2] for event in backlog.events], backlog.head) == (
        3,
        [(4, "new_message"), (6, "conversation_updated")],
        6,
    )
    assert rooms.read(queries.newest_many, []).result(60) == {}


def test_how_far_behind_somebody_is_in_many_is_counted_no_further_than_asked(rooms: Store) -> None:
    wanted = [(key("room"), 3), (key("busy"), 1), (key("changed"), 4), (key("quiet"), 0)]
    wanted.append((NOWHERE, 0))
    counted = rooms.read(queries.distances, wanted, 9).result(60)
    assert list(counted.values()) == [2, 9, 1, 0, 0]
    assert counted == {
        name: rooms.read(queries.distance, name, after, 9).result(60) for name, after in wanted
    }
    assert rooms.read(queries.distances, [], 9).result(60) == {}
