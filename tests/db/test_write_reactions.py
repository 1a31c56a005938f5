import random
from typing import Any

import pytest

from anmei.commands_changes import MAX_EMOJIS, MAX_OWN_EMOJIS
from anmei.errors import ErrorCode
from db import queries
from db.store import Store
from db.write_reactions import SHOWN_USERS
from tests.db.chat import change, create, do, key, reply, send

USERS = [f"u{number}" for number in range(30)]


@pytest.fixture
def room(store: Store) -> str:
    reply(store, create("room", "ann", *USERS))
    reply(store, send("room", "ann", message_id="msg_2"))
    return "room"


def listed(
    store: Store, emoji: str | None = None, user: str | None = None, limit: int = 7
) -> list[tuple[str, str]] | None:
    found: list[tuple[str, str]] = []
    cursor = None
    while True:
        page = store.read(
            queries.reactions, "acme", user and key(user), "msg_2", emoji, cursor, limit
        ).result(60)
        if page is None:
            return None
        found += [(each["emoji"], each["user_id"]) for each in page[0]]
        cursor = page[1]
        if cursor is None:
            return found


def test_a_message_names_the_first_who_reacted_and_counts_the_rest(store: Store, room: str) -> None:
    do(store, *[change.react("msg_2", user, "👍") for user in USERS])
    (entry,) = reply(store, change.react("msg_2", "u0", "👍", on=False))["message"]["reactions"]
    assert entry == {"emoji": "👍", "count": 29, "user_ids": USERS[1 : SHOWN_USERS + 1]}
    assert listed(store, "👍") == [("👍", user) for user in USERS[1:]]
    assert listed(store, "❤️") == []
    assert listed(store, user="eve") is None
    page, _ = store.read(queries.reactions, "acme", None, "msg_2", None, None, 1).result(60)
    assert page == [
        {"emoji": "👍", "user_id": "u1", "name": "u1", "created_at": "2026-01-02T03:04:07.678Z"}
    ]


def test_the_sum_is_always_that_of_the_rows(store: Store, room: str) -> None:
    chance = random.Random(5)
    emojis = ["👍", "❤️", "😀", ":party:"]
    for _ in range(12):
        steps = [
            change.react(
                "msg_2", chance.choice(USERS), chance.choice(emojis), chance.random() < 0.6
            )
            for _ in range(25)
        ]
        outcomes = do(store, *steps)
        message: dict[str, Any] = outcomes[-1].reply["message"]  # type: ignore[index]
        expected = []
        for emoji in {entry["emoji"] for entry in message["reactions"]}:
            users = [user for _, user in listed(store, emoji) or ()]
            expected.append({"emoji": emoji, "count": len(users), "user_ids": users[:SHOWN_USERS]})
        assert sorted(message["reactions"], key=str) == sorted(expected, key=str)
        total = sum(entry["count"] for entry in message["reactions"])
        assert total == len(listed(store) or ())
        assert store.read(queries.message, "acme", None, "msg_2").result(60) == message


def test_emojis_of_one_user_and_of_one_message_are_limited(store: Store, room: str) -> None:
    def refused(user: str, emoji: str) -> bool:
        (outcome,) = do(store, change.react("msg_2", user, emoji))
        assert outcome.error is None or outcome.error.code is ErrorCode.TOO_LARGE
        return outcome.error is not None

    own = [refused("u1", f"a{number}") for number in range(MAX_OWN_EMOJIS + 1)]
    assert own == [False] * MAX_OWN_EMOJIS + [True]
    others = [refused("u2", f"b{number}") for number in range(MAX_EMOJIS - MAX_OWN_EMOJIS)]
    assert others == [False] * (MAX_EMOJIS - MAX_OWN_EMOJIS)
    assert refused("u3", "c")
    assert not refused("u3", "a0")
    do(store, change.react("msg_2", "u2", "b0", on=False))
    assert not refused("u3", "c")
