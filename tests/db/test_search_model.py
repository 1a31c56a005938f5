"""Random talk and random searches: both databases find exactly what reading everything finds."""

import random
from typing import Any

from anmei.search_terms import read_terms
from db.store import Store
from tests.db.chat import create, do, key, remove, reply, send
from tests.db.search import contents, index, look

WORDS = (
    *("tea", "Café", "cafe", "two-part", "x1", "a", "b", "👍"),
    *("茶", "喝茶", "今天天气", "天气很好", "東京タワー", "한국"),
)
PEOPLE = ("ann", "bob", "cid")


def talk(chance: random.Random, most: int) -> str:
    picked = chance.choices(WORDS, k=chance.randint(1, most))
    return "".join(word + chance.choice(("", " ", ", ")) for word in picked)


def asked(chance: random.Random) -> str:
    term = talk(chance, 2).strip(" ,")
    marked = chance.choice((term, f'"{term}"', f'{term} -"{chance.choice(WORDS)}"'))
    return marked if read_terms(marked).words else "tea"


def test_what_is_found_is_what_reading_everything_would_find(store: Store) -> None:
    chance = random.Random(7)
    rooms = {f"room{n}": chance.sample(PEOPLE, 2) for n in range(4)}
    for room, people in rooms.items():
        reply(store, create(room, "owner", *people))
    said: list[tuple[str, str, str]] = []
    for _ in range(120):
        room = chance.choice(list(rooms))
        said.append((room, chance.choice(rooms[room]), talk(chance, 4)))
    do(store, *[send(room, who, text) for room, who, text in said])
    left = rooms["room0"].pop()
    do(store, remove("room0", "owner", left))
    index(store, batch=50)

    for _ in range(60):
        who, q = chance.choice(PEOPLE), asked(chance)
        narrowed: dict[str, Any] = {}
        sender = chance.choice((None, None, *PEOPLE))
        if sender is not None:
            narrowed["sender_key"] = key(sender)
        expected = [
            text
            for room, by, text in reversed(said)
            if who in rooms[room] and sender in (None, by) and read_terms(q).find(text) is not None
        ]
        assert contents(look(store, who, q, limit=200, **narrowed)) == expected, (who, q, sender)
