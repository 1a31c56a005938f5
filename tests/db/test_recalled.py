"""What a recalled message said is nowhere in the database: no table, no column, no page."""

from collections.abc import Callable
from pathlib import Path

from peewee import Database

from db import queries
from db.link import execute, is_postgres, sqlite_path
from db.store import Store
from tests.db.chat import change, create, do, key, reply, send
from tests.support.tables import holding

WORDS = ("zanzibar", "quixotic", "jabberwock", "marmalade")


def _said(store: Store) -> None:
    """Something that leaves traces wherever a message can leave any."""
    first, edited, metadata, emoji = WORDS
    reply(store, create("room", "ann", "bob"))
    # Long, so that the database keeps it apart from its row.
    long = f"{first} " + "x" * 20_000
    said = send("room", "ann", long, message_id="msg_2", extra_metadata=f'{{"a":"{metadata}"}}')
    reply(store, said)
    reply(store, send("room", "bob", "so it is", reply_to="msg_2", mentions=("ann",)))
    reply(store, change.edit("msg_2", "ann", f"{first} {edited} " + "y" * 20_000))
    reply(store, change.react("msg_2", "bob", emoji))
    reply(store, change.pin("msg_2", "bob"))


def test_what_was_said_is_in_no_column_of_any_table(store: Store) -> None:
    _said(store)
    before = [store.read(holding, word).result(60) for word in WORDS]
    assert before == [
        {("messages", "content")},
        {("messages", "content")},
        {("messages", "extra_metadata")},
        {("messages", "reactions"), ("reactions", "emoji")},
    ]
    reply(store, change.recall("msg_2", "ann"))
    for word in WORDS:
        assert store.read(holding, word).result(60) == set()
    seen = [
        store.read(queries.history, key("bob"), key("room"), None, None, 9),
        store.read(queries.heads, key("bob"), None, 9),
        store.read(queries.changes, key("room"), 0, 99),
        store.read(queries.newest, key("room"), 99),
        store.read(queries.message, "acme", key("bob"), "msg_2"),
        store.read(queries.reactions, "acme", key("bob"), "msg_2", None, None, 9),
        store.read(queries.audit, "acme", None, "msg_2", None, None, 9),
    ]
    for answer in seen:
        assert not any(word in repr(answer.result(60)) for word in WORDS)


def test_what_was_said_is_not_in_the_file_either(
    sqlite_url: str, open_store: Callable[..., Store]
) -> None:
    store = open_store(sqlite_url)
    _said(store)
    do(store, change.recall("msg_2", "ann"))

    def checkpoint(database: Database) -> None:
        assert not is_postgres(database)
        execute(database, "PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    store.read(checkpoint).result(60)
    path = sqlite_path(sqlite_url)
    assert path is not None
    data = b"".join(each.read_bytes() for each in Path(path).parent.iterdir() if each.is_file())
    assert b"so it is" in data
    assert not [word for word in WORDS if word.encode() in data]
