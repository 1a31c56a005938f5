"""A link's preview is a change of its message, and of no other."""

from anmei.commands_changes import EditMessage, RecallMessage
from anmei.commands_previews import SetPreview
from db import queries
from db.store import Store
from tests.db.chat import NOW, create, do, key, reply, send

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
    backlog = store.read(queries.changes, key("room"), 1, 9).result(60)
    assert ([event[0] for event in backlog.events], backlog.head) == ([3], 3)
    assert backlog.events[0][2] == change.data


def test_an_edit_keeps_the_preview_of_the_link_that_stays_and_of_no_other(store: Store) -> None:
    do(store, create("room", "ann"))
    id = reply(store, send("room", "ann", URL))["message"]["id"]
    do(store, preview(id))

    def edit(content: str) -> object:
        command = EditMessage(message_id=id, by_key=key("ann"), at=NOW, content=content)
        return reply(store, command)["message"]["link_preview"]

    assert edit(f"{URL}, a page") == PREVIEW
    assert edit("no page") is None
    assert edit(f"{URL} again") is None


def test_what_has_another_link_or_none_gets_none(store: Store) -> None:
    do(store, create("room", "ann"), create("other", "ann"))
    recalled = reply(store, send("room", "ann", URL))["message"]["id"]
    edited = reply(store, send("room", "ann", f"https://b.example {URL}"))["message"]["id"]
    plain = reply(store, send("room", "ann", "x"))["message"]["id"]
    do(store, RecallMessage(message_id=recalled, by_key=key("ann"), at=NOW))
    commands = [preview(id) for id in (recalled, edited, plain, "msg_absent")]
    commands += [preview(edited, "other"), preview(edited, "absent")]
    for outcome in do(store, *commands):
        assert (outcome.reply, outcome.changes) == ({"set": False}, ())
    assert store.read(queries.changed_since, [(key("room"), 5)]).result(60) == []
