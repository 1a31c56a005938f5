from peewee import Database

from db.link import execute, fetch
from db.scrub import scrub
from db.store import Store
from tests.db.chat import create, do, key, reply, send

#: What a message may have besides.
COLUMNS = ("body", "link_preview", "mentions", "forwarded_from", "reactions", "pinned_by")


def test_nothing_of_what_a_message_said_is_left(store: Store) -> None:
    reply(store, create("room", "ann", "bob"))
    do(store, *[send("room", "ann", f"SECRET {n}", extra_metadata='{"a":"SECRET"}') for n in "12"])

    def work(database: Database) -> list[tuple[object, ...]]:
        ((pk,),) = fetch(database, "SELECT pk FROM messages WHERE content = 'SECRET 1'")
        for column in (
            "body",
            "link_preview",
            "mentions",
            "forwarded_from",
            "reactions",
            "pinned_by",
        ):
            execute(database, f"UPDATE messages SET {column} = 'SECRET' WHERE pk = %s", (pk,))
        execute(
            database,
            "INSERT INTO reactions (message, user_key, emoji, created_at)"
            " VALUES (%s, %s, 'SECRET', 1)",
            (pk, key("bob")),
        )
        scrub(database, [pk])
        scrub(database, [])
        columns = ", ".join(COLUMNS)
        kept = fetch(
            database, f"SELECT content, extra_metadata, {columns} FROM messages ORDER BY seq"
        )
        return kept + fetch(database, "SELECT emoji FROM reactions")

    assert store.read(work).result(60) == [
        ("", None, None, None, None, None, None, None),
        ("SECRET 2", '{"a":"SECRET"}', None, None, None, None, None, None),
    ]
