"""What can be done to a message that was sent, by whom, and what is left of it."""

from typing import Any

import pytest

from anmei.commands import Outcome
from anmei.commands_changes import MAX_PINS, SweepAudit
from anmei.commands_previews import SetPreview
from anmei.errors import ErrorCode
from db import queries
from db.store import Store
from tests.db.chat import NOW, change, create, do, key, remove, reply, send

#: When the messages of `chat.send` are sent.
SENT = NOW + 1_000


@pytest.fixture
def room(store: Store) -> str:
    """Ann owns it; Bob says msg_2, Ann msg_3. Eve is elsewhere."""
    reply(store, create("room", "ann", "bob", "cid"))
    reply(store, create("elsewhere", "eve"))
    reply(store, send("room", "bob", "first", message_id="msg_2"))
    reply(store, send("room", "ann", "second", message_id="msg_3", reply_to="msg_2"))
    return "room"


def code(store: Store, command: Any) -> ErrorCode | None:
    (outcome,) = do(store, command)
    return None if outcome.error is None else outcome.error.code


def number(outcome: Outcome) -> int:
    (done,) = outcome.changes
    assert outcome.reply is not None
    assert done.data == outcome.reply["message"]
    return done.change_seq


def test_an_edit_takes_the_next_number_and_keeps_the_messages_own(store: Store, room: str) -> None:
    (outcome,) = do(store, change.edit("msg_2", "bob", "better", mentions=("cid", "ann", "cid")))
    assert number(outcome) == 4
    assert outcome.changes[0].type == "message_updated"
    message = outcome.reply["message"]  # type: ignore[index]
    assert (message["seq"], message["change_seq"], message["content"]) == (2, 4, "better")
    assert message["mentions"] == ["cid", "ann"]
    assert message["edited_at"] == "2026-01-02T03:04:07.678Z"
    stored = store.read(queries.message, "acme", key("cid"), "msg_2").result(60)
    assert stored == message
    found = store.read(queries.history, key("ann"), key("room"), None, None, 9).result(60)
    assert [each["content"] for each in found["messages"]] == ["better", "second"]
    reply(store, send("room", "ann", message_id="msg_5"))
    assert store.read(queries.message, "acme", None, "msg_5").result(60)["seq"] == 5


@pytest.mark.parametrize(
    "again",
    [
        change.edit("msg_2", "bob", "better"),
        change.recall("msg_2", "bob", window=9_000),
        change.react("msg_2", "cid", "👍"),
        change.react("msg_2", "cid", "👍", on=False),
        change.pin("msg_2", "cid"),
        change.pin("msg_2", "cid", on=False),
    ],
)
def test_what_is_so_already_is_answered_alike_and_takes_no_number(
    store: Store, room: str, again: Any
) -> None:
    if not getattr(again, "on", True):
        do(store, type(again)(**{**_fields(again), "on": True}))
    (first,) = do(store, again)
    later = type(again)(**{**_fields(again), "at": again.at + 90_000})
    (second, third) = do(store, later, later)
    assert first.reply == second.reply == third.reply
    assert number(first) == number(second) == number(third)
    head = store.read(queries.conversation, None, key("room")).result(60)
    assert head["change_seq"] == number(first)
    rows, _ = store.read(queries.audit, "acme", None, "msg_2", None, None, 9).result(60)
    assert len(rows) == (1 if getattr(again, "on", True) else 2)


def _fields(command: Any) -> dict[str, Any]:
    return {name: getattr(command, name) for name in command.__struct_fields__}


def test_only_its_sender_edits_a_message_while_he_is_in(store: Store, room: str) -> None:
    edit = change.edit
    assert code(store, edit("msg_2", "ann", "mine")) is ErrorCode.FORBIDDEN
    assert code(store, edit("msg_2", "ann", "mine", moderator=True)) is ErrorCode.FORBIDDEN
    for stranger in ("eve", "nobody"):
        assert code(store, edit("msg_2", stranger, "mine")) is ErrorCode.NOT_FOUND
    assert code(store, edit("msg_9", "bob", "x")) is ErrorCode.NOT_FOUND
    assert code(store, edit("msg_2", "bob", "x", only=key("elsewhere"))) is ErrorCode.NOT_FOUND
    other = edit("msg_2", "bob", "x", as_member=False)
    other.by_key = "other/bob"
    assert code(store, other) is ErrorCode.NOT_FOUND
    do(store, remove("room", "bob", "bob"))
    assert code(store, edit("msg_2", "bob", "x")) is ErrorCode.NOT_FOUND
    assert code(store, edit("msg_2", "bob", "x", as_member=False)) is None


def test_an_edit_has_its_window_and_a_repeat_has_none(store: Store, room: str) -> None:
    late = {"window": 5_000, "at": SENT + 5_001}
    assert code(store, change.edit("msg_2", "bob", "new", **late)) is ErrorCode.FORBIDDEN
    assert code(store, change.edit("msg_2", "bob", "new", window=5_000, at=SENT + 5_000)) is None
    assert code(store, change.edit("msg_2", "bob", "new", **late)) is None


def test_what_was_shown_of_a_link_goes_with_the_link(store: Store, room: str) -> None:
    link = "https://example.org/a"
    do(store, change.edit("msg_2", "bob", f"see {link}"))
    do(store, SetPreview(key(room), "msg_2", link, f'{{"url":"{link}"}}'))
    message = reply(store, change.edit("msg_2", "bob", f"do see {link}"))["message"]
    assert message["link_preview"] == {"url": link}
    message = reply(store, change.edit("msg_2", "bob", "see https://example.org/b"))["message"]
    assert message["link_preview"] is None


def test_what_is_recalled_is_not_edited_pinned_reacted_to_or_forwarded(
    store: Store, room: str
) -> None:
    do(store, change.recall("msg_2", "bob"))
    for command in (
        change.edit("msg_2", "bob", "again"),
        change.edit("msg_2", "bob", ""),
        change.pin("msg_2", "ann"),
        change.react("msg_2", "ann", "👍"),
        change.forward("msg_2", "ann", "room"),
    ):
        assert code(store, command) is ErrorCode.CONFLICT
    assert code(store, change.pin("msg_2", "ann", on=False)) is None
    assert code(store, change.react("msg_2", "ann", "👍", on=False)) is None


def test_its_sender_recalls_in_time_and_moderators_at_any(store: Store, room: str) -> None:
    late = {"window": 120_000, "at": SENT + 120_001}
    assert code(store, change.recall("msg_2", "bob", **late)) is ErrorCode.FORBIDDEN
    assert code(store, change.recall("msg_3", "bob", window=0)) is ErrorCode.FORBIDDEN
    assert code(store, change.recall("msg_2", "eve", moderator=True)) is ErrorCode.NOT_FOUND
    assert code(store, change.recall("msg_2", "ann", **late)) is None
    assert code(store, change.recall("msg_2", "bob", **late)) is None
    assert code(store, change.recall("msg_2", "cid", **late)) is ErrorCode.FORBIDDEN
    assert code(store, change.recall("msg_3", "cid", moderator=True, **late)) is None


def test_who_began_a_conversation_of_two_recalls_nothing_of_the_other(store: Store) -> None:
    reply(store, create("two", "ann", "bob", kind="direct"))
    reply(store, send("two", "bob", message_id="msg_2"))
    assert code(store, change.recall("msg_2", "ann")) is ErrorCode.FORBIDDEN
    assert code(store, change.recall("msg_2", "bob")) is None


def test_what_a_recalled_message_keeps_is_its_place(store: Store, room: str) -> None:
    do(store, change.edit("msg_3", "ann", "second", mentions=("bob",)))
    do(store, change.react("msg_3", "bob", "👍"), change.pin("msg_3", "bob"))
    message = reply(store, change.recall("msg_3", "ann"))["message"]
    assert (message["seq"], message["change_seq"], message["sender_id"]) == (3, 7, "ann")
    assert (message["content"], message["mentions"], message["reactions"]) == ("", [], [])
    assert (message["pinned_at"], message["extra_metadata"]) == (None, None)
    assert (message["recalled_at"], message["reply_to"]) == ("2026-01-02T03:04:07.678Z", "msg_2")
    head = store.read(queries.conversation, key("bob"), key("room")).result(60)
    assert head["last_message"] == message


def test_mentions_name_members_and_everybody_is_for_the_owner(store: Store, room: str) -> None:
    message = reply(store, send("room", "bob", mentions=("ann", "cid", "ann")))["message"]
    assert message["mentions"] == ["ann", "cid"]
    assert code(store, send("room", "bob", mentions=("eve",))) is ErrorCode.BAD_REQUEST
    assert code(store, send("room", "bob", mentions=("@all",))) is ErrorCode.FORBIDDEN
    assert code(store, send("room", "ann", mentions=("@all",))) is None
    assert code(store, send("room", "bob", mentions=("@all",), as_member=False)) is None
    edit = change.edit
    assert code(store, edit("msg_2", "bob", "x", mentions=("eve",))) is ErrorCode.BAD_REQUEST
    assert code(store, edit("msg_2", "bob", "x", mentions=("@all",))) is ErrorCode.FORBIDDEN
    assert code(store, edit("msg_3", "ann", "x", mentions=("@all", "cid"))) is None
    do(store, remove("room", "cid", "cid"))
    # Who was mentioned and has left since stays mentioned.
    assert reply(store, edit("msg_3", "ann", "y"))["message"]["mentions"] == ["@all", "cid"]
    assert code(store, edit("msg_3", "ann", "z", mentions=("cid",))) is None
    assert code(store, edit("msg_2", "bob", "z", mentions=("cid",))) is ErrorCode.BAD_REQUEST


def test_any_member_pins_and_takes_down_and_the_pins_are_listed(store: Store, room: str) -> None:
    do(
        store,
        change.pin("msg_3", "bob", at=NOW + 5_000),
        change.pin("msg_2", "cid", at=NOW + 6_000),
    )

    def listed(user: str, limit: int, cursor: str | None = None) -> Any:
        return store.read(queries.pins, key(user), key("room"), cursor, limit).result(60)

    page, cursor = listed("ann", 1)
    assert [(each["id"], each["pinned_by"]) for each in page] == [("msg_2", "cid")]
    page, cursor = listed("ann", 1, cursor)
    assert [(each["id"], each["pinned_by"]) for each in page] == [("msg_3", "bob")]
    assert cursor is None
    assert listed("eve", 9) is None
    do(store, change.pin("msg_2", "bob", on=False))
    assert [each["id"] for each in listed("ann", 9)[0]] == ["msg_3"]


def test_pins_of_a_conversation_are_limited(store: Store, room: str) -> None:
    ids = [f"msg_{n}" for n in range(10, 11 + MAX_PINS)]
    do(store, *[send("room", "bob", message_id=id) for id in ids])
    outcomes = do(store, *[change.pin(id, "bob") for id in ids])
    assert [outcome.error for outcome in outcomes[:-1]] == [None] * MAX_PINS
    error = outcomes[-1].error
    assert error is not None
    assert (error.code, str(MAX_PINS) in error.message) == (ErrorCode.TOO_LARGE, True)
    do(store, change.recall(ids[0], "bob"))
    assert code(store, change.pin(ids[-1], "bob")) is None


def test_in_a_system_conversation_its_owner_pins(store: Store) -> None:
    reply(store, create("news", "bot", "ann", kind="system"))
    reply(store, send("news", "bot", message_id="msg_2", as_member=False))
    assert code(store, change.pin("msg_2", "ann")) is ErrorCode.FORBIDDEN
    assert code(store, change.react("msg_2", "ann", "👍")) is None
    assert code(store, change.pin("msg_2", "bot")) is None
    assert code(store, change.pin("msg_2", "x", on=False, moderator=True, as_member=False)) is None


def test_it_is_written_down_who_did_what_and_nothing_that_was_said(store: Store, room: str) -> None:
    do(
        store,
        change.edit("msg_2", "bob", "better"),
        change.pin("msg_2", "ann", agent_key=key("robot")),
        change.react("msg_3", "cid", "👍"),
        change.forward("msg_3", "ann", "room"),
        change.recall("msg_2", "ann"),
    )

    def listed(**narrowed: Any) -> list[tuple[str, ...]]:
        names = ("conversation_key", "message_id", "actor_key")
        terms = [narrowed.get(name) for name in names]
        found: list[tuple[str, ...]] = []
        cursor = None
        while True:
            page, cursor = store.read(queries.audit, "acme", *terms, cursor, 2).result(60)
            found += [(row["action"], row["actor_id"], row["message_id"]) for row in page]
            if cursor is None:
                return found

    everything = [
        ("recall", "ann", "msg_2"),
        ("forward", "ann", "msg_3"),
        ("react", "cid", "msg_3"),
        ("pin", "ann", "msg_2"),
        ("edit", "bob", "msg_2"),
    ]
    assert listed() == listed(conversation_key=key("room")) == everything
    assert listed(message_id="msg_3") == everything[1:3]
    assert listed(actor_key=key("ann")) == [everything[0], everything[1], everything[3]]
    assert listed(conversation_key=key("elsewhere")) == []
    page, _ = store.read(queries.audit, "acme", None, None, None, None, 9).result(60)
    assert page[3] == {
        "at": "2026-01-02T03:04:07.678Z",
        "action": "pin",
        "actor_id": "ann",
        "agent_id": "robot",
        "conversation_id": "room",
        "message_id": "msg_2",
        "change_seq": 5,
    }
    assert store.read(queries.audit, "other", None, None, None, None, 9).result(60) == ([], None)


def test_the_audit_is_forgotten_the_oldest_first_and_a_part_at_a_time(
    store: Store, room: str
) -> None:
    for number in range(5):
        do(store, change.edit("msg_2", "bob", str(number), at=NOW + number))

    def left() -> list[int]:
        page, _ = store.read(queries.audit, "acme", None, None, None, None, 9).result(60)
        return [row["change_seq"] for row in page]

    assert left() == [8, 7, 6, 5, 4]
    assert reply(store, SweepAudit(before=NOW + 3, most=2)) == {"removed": 2}
    assert left() == [8, 7, 6]
    assert reply(store, SweepAudit(before=NOW + 3, most=2)) == {"removed": 1}
    assert left() == [8, 7]
