"""How much a user may sort: each limit is named, and what cannot be taken away does not count."""

from typing import Any

import pytest

from anmei.errors import AnmeiError, ErrorCode
from db import tags
from db.store import Store
from tests.db.chat import NOW, create, do, key, remove


@pytest.fixture(autouse=True)
def rooms(store: Store) -> None:
    do(store, *(create(room, "ann", "bob") for room in ("room", "hall", "yard")))


def tag(store: Store, room: str, tag: str) -> Any:
    found = store.aside(tags.set_tag, "conversation", key("bob"), key(room), tag, True, NOW)
    return found.result(60)


def sort(store: Store, room: str, category: str | None) -> Any:
    return store.aside(tags.set_category, key("bob"), key(room), category).result(60)


def test_tags_are_limited_by_thing_and_by_user(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "MAX_TAGS", 2)
    monkeypatch.setattr(tags, "MAX_TAGGED", 3)
    assert [tag(store, "room", name) for name in "aba"] == [["a"], ["a", "b"], ["a", "b"]]
    with pytest.raises(AnmeiError, match="at most 2 tags on one conversation") as caught:
        tag(store, "room", "c")
    assert caught.value.code is ErrorCode.TOO_LARGE
    tag(store, "hall", "a")
    with pytest.raises(AnmeiError, match="at most 3 tags of one user on conversations"):
        tag(store, "yard", "a")
    assert tag(store, "hall", "a") == ["a"]
    do(store, remove("room", "ann", "bob"))
    assert tag(store, "yard", "a") == ["a"]


def test_categories_are_limited_by_user(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "MAX_CATEGORIES", 1)
    assert sort(store, "room", "work")
    assert sort(store, "hall", "work")
    with pytest.raises(AnmeiError, match="at most 1 categories of one user") as caught:
        sort(store, "yard", "home")
    assert caught.value.code is ErrorCode.TOO_LARGE
    do(store, remove("room", "ann", "bob"), remove("hall", "ann", "bob"))
    assert sort(store, "yard", "home")
    assert sort(store, "hall", "home") is None
