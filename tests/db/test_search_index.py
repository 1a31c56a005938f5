from typing import Any

from peewee import Database

from db import search_index
from db.link import execute, fetch
from db.scrub import scrub
from db.store import Store
from tests.db.chat import create, do, reply, send
from tests.db.search import contents, index, look


def edit(store: Store, old: str, new: str) -> None:
    sql = "UPDATE messages SET content = %s WHERE content = %s"
    store.aside(execute, sql, (new, old)).result(60)


def test_what_is_sent_is_found_once_it_is_indexed_and_nothing_is_indexed_twice(
    store: Store,
) -> None:
    reply(store, create("room", "ann"))
    do(store, *[send("room", "ann", f"number {n}") for n in range(25)])
    assert look(store, "ann", "number") == {
        "results": [],
        "next_cursor": None,
        "up_to_date": False,
    }
    assert index(store, batch=7) == 25
    found = look(store, "ann", "number")
    assert (len(found["results"]), found["up_to_date"]) == (20, True)
    assert index(store) == 0


def test_an_edited_text_is_found_by_its_new_words_alone(store: Store) -> None:
    reply(store, create("room", "ann"))
    do(store, send("room", "ann", "before the edit"))
    index(store)
    edit(store, "before the edit", "afterwards")
    # The index is behind, the answer is right all the same.
    stale = look(store, "ann", "before")
    assert (stale["results"], stale["up_to_date"]) == ([], False)
    assert index(store) == 1
    assert contents(look(store, "ann", "afterwards")) == ["afterwards"]
    assert contents(look(store, "ann", "before")) == []


def test_a_recalled_message_leaves_no_word_in_the_index(store: Store) -> None:
    reply(store, create("room", "ann"))
    do(store, send("room", "ann", "a secret word"), send("room", "ann", "another"))
    index(store)

    def recall(database: Database) -> None:
        ((pk,),) = fetch(database, "SELECT pk FROM messages WHERE content = 'a secret word'")
        execute(database, "UPDATE messages SET recalled_at = 1 WHERE pk = %s", (pk,))
        scrub(database, [pk])

    def rows(database: Database) -> int:
        return int(fetch(database, "SELECT count(*) FROM search_index")[0][0])

    store.aside(recall).result(60)
    assert store.read(rows).result(60) == 1
    index(store)
    assert store.read(rows).result(60) == 1
    assert contents(look(store, "ann", "secret")) == []
    assert contents(look(store, "ann", "another")) == ["another"]


def test_of_two_that_index_at_once_one_does_nothing(store: Store) -> None:
    reply(store, create("room", "ann"))
    do(store, send("room", "ann", "first words"))
    slow = store.read(search_index.pending, None, 10).result(60)
    edit(store, "first words", "later words")
    assert index(store) == 1
    assert store.aside(search_index.write, slow).result(60) is False
    assert contents(look(store, "ann", "later")) == ["later words"]


def test_a_message_that_is_committed_behind_a_later_one_is_not_left_out(
    tables_url: str, open_store: Any
) -> None:
    store = open_store(tables_url)
    other = open_store(tables_url)
    reply(store, create("room", "ann"))
    reply(store, create("other", "ann"))
    link = other._readers[0]._link  # a connection that stands still in the middle of a send
    database: Database = link.database
    execute(database, "BEGIN")
    execute(
        database,
        "INSERT INTO messages (id, conversation, seq, change_seq, sender_key, sender_id,"
        " sender_name, sender_type, message_type, content, is_important, priority, client_msg_id,"
        " created_at) SELECT 'msg_slow', pk, 99, 99, 'acme/ann', 'ann', 'Ann', 'chat', 'text',"
        " 'slow', FALSE, 'normal', 'slow', 1 FROM conversations WHERE key = 'acme/other'",
    )
    do(store, send("room", "ann", "fast"))
    held = store.read(search_index.pending, None, 10).result(60)
    assert (held.rows, held.more) == ([], False)
    assert held.horizon is not None
    execute(database, "COMMIT")
    # Somebody else may be at work on the same server in this very moment.
    found = held
    while not found.rows:
        found = store.read(search_index.pending, held.horizon, 10).result(60)
    assert len(found.rows) == 2
    assert store.aside(search_index.write, found).result(60)
    assert contents(look(store, "ann", "slow")) == ["slow"]
    assert contents(look(store, "ann", "fast")) == ["fast"]
