from typing import Any

import pytest

from anmei.errors import AnmeiError
from db import queries
from db.store import Store
from tests.db.chat import NOW, add, create, do, key, remove, reply


def test_participants_come_owner_first_then_as_they_joined(store: Store) -> None:
    reply(store, create("room", "mia", "bob", "ann"))
    do(store, add("room", "mia", "cid", at=NOW + 9), add("room", "mia", "aaa", at=NOW + 10))
    do(store, remove("room", "bob", "bob"))
    found: list[dict[str, Any]] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = store.read(queries.participants, key("ann"), key("room"), cursor, 2).result(60)
        assert page is not None
        found += page[0]
        cursor, pages = page[1], pages + 1
    assert [who["user_id"] for who in found] == ["mia", "ann", "cid", "aaa"]
    assert pages == 2
    assert found[0] == {
        "user_id": "mia",
        "name": "mia",
        "role": "owner",
        "last_read_seq": 0,
        "last_delivered_seq": 0,
    }


def test_participants_are_for_members_and_the_privileged(store: Store) -> None:
    reply(store, create("room", "ann"))
    for who, where in ((key("eve"), "room"), (key("ann"), "nowhere"), (None, "nowhere")):
        assert store.read(queries.participants, who, key(where), None, 9).result(60) is None
    page = store.read(queries.participants, None, key("room"), None, 9).result(60)
    assert page is not None
    assert len(page[0]) == 1


def test_a_cursor_of_another_list_is_refused(store: Store) -> None:
    for number in range(3):
        reply(store, create(f"room{number}", "ann"))
    _, cursor = store.read(queries.heads, key("ann"), None, 1).result(60)
    with pytest.raises(AnmeiError):
        store.read(queries.participants, key("ann"), key("room0"), cursor, 1).result(60)
