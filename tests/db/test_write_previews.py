"""A link's preview is a change of its message, and of no other."""

from peewee import Database

from anmei.commands_previews import SetPreview
from db import queries
from db.link import execute
from db.scrub import scrub
from db.store import Store
from tests.db.chat import create, do, key, reply, send

URL = "https://a.example/x"
PREVIEW = {
    "url": URL,
    "title": "A",
    "description": None,
    "image_url": None,
    "site_name": None,
}
TEXT = (
    '{"url":"https://a.example/x","title":"A","description":null,"image_url":null,"site_name":null}'
)


def preview(message_id: str, room: str = "room", url: str = URL) -> SetPreview:
    return SetPreview(key(room), message_id, url, TEXT)


def test_a_preview_is_a_change_under_the_next_number(store: Store) -> None:
    do(store, create("room", "ann", "bob"))
    message = reply(store, send("room", "ann", f"see {URL}."))["message"]
    (outcome,) = do(store, preview(message["id"]))
    assert outcome.reply == {"set": True}
    (change,) = outcome.changes
    assert (change.type, change.change_seq) == ("message_updated", 3)
    assert change.data == {**message, "link_preview": PREVIEW, "change_seq": 3}
    assert change.audience.members == {key("ann"), key("bob")}
    # Again it is the same attempt.
    (again,) = do(store, preview(message["id"]))
    assert [change.data for change in again.changes] == [change.data]
    backlog = store.read(queries.changes, key("room"), 1, 9).result(10)
    assert ([event[0] for event in backlog.events], backlog.head) == ([3], 3)
    assert backlog.events[0][2] == change.data


def test_what_has_another_link_or_none_gets_none(store: Store) -> None:
    do(store, create("room", "ann"), create("other", "ann"))
    recalled = reply(store, send("room", "ann", URL))["message"]["id"]
    edited = reply(store, send("room", "ann", f"https://b.example {URL}"))["message"]["id"]
    plain = reply(store, send("room", "ann", "x"))["message"]["id"]

    def recall(database: Database) -> None:
        sql = "SELECT pk FROM messages WHERE id = %s"
        (pk,) = execute(database, sql, (recalled,)).fetchone()
        scrub(database, [pk])
        execute(database, "UPDATE messages SET recalled_at = 1 WHERE pk = %s", (pk,))

    store.read(recall).result(10)
    commands = [preview(id) for id in (recalled, edited, plain, "msg_absent")]
    commands += [preview(edited, "other"), preview(edited, "absent")]
    for outcome in do(store, *commands):
        assert (outcome.reply, outcome.changes) == ({"set": False}, ())
    assert store.read(queries.changed_since, [(key("room"), 4)]).result(10) == []
