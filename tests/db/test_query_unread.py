"""Every number of unread messages is what a count of the rows themselves gives."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peewee import Database

from anmei.commands import Command
from anmei.commands_changes import RecallMessage
from anmei.commands_inbox import MarkInbox, PostMessage
from db import queries
from db.link import execute, fetch
from db.store import Store
from tests.db.chat import NOW, add, create, do, key, read, remove, send

USERS = ["ann", "bob", "cid"]
ROOMS = ["red", "blue"]
TYPES = ["text", "image", "system"]
PRIORITIES = ["normal", "urgent"]

_user = st.sampled_from(USERS)
_room = st.sampled_from(ROOMS)
_send = st.tuples(
    st.just("send"), _room, _user, st.sampled_from(TYPES), st.sampled_from(PRIORITIES)
)
_steps = st.lists(
    st.one_of(
        _send,
        _send,
        st.tuples(st.just("read"), _room, _user, st.integers(0, 20)),
        st.tuples(st.sampled_from(["add", "remove"]), _room, st.sampled_from(USERS[1:])),
        st.tuples(st.just("recall"), st.integers(0, 30)),
        st.tuples(st.just("inbox"), _user, st.sampled_from(TYPES), st.booleans()),
    ),
    max_size=30,
)


def command(prefix: str, step: tuple[Any, ...], moment: int) -> Command:
    kind, room, user, *rest = step
    room = prefix + room
    if kind == "send":
        return send(room, user, message_type=rest[0], priority=rest[1])
    if kind == "read":
        return read(room, user, rest[0])
    if kind == "add":
        return add(room, "ann", user, at=moment)
    return remove(room, "ann", user, at=moment)


def written(store: Store, sql: str, values: tuple[Any, ...]) -> None:
    """A row that no command of this part writes."""

    def work(database: Database) -> None:
        execute(database, sql, values)

    store.read(work).result(60)


def recall(store: Store, ids: list[str], number: int) -> None:
    """Recalls one of the messages, where there are so many."""
    if number < len(ids):
        by = {"by_key": key("ann"), "moderator": True}
        do(store, RecallMessage(message_id=ids[number], at=NOW, **by))


def notify(store: Store, id: str, user: str, type: str, is_read: bool) -> None:
    """Posts to the inboxes of two users, and, with `is_read`, has one of them read it."""
    to = (key(user), key("ann"))
    do(store, PostMessage(id, key("shop"), "Shop", id, "hello", NOW, to, message_type=type))
    if is_read:
        do(store, MarkInbox(key(user), True, NOW, message_ids=(id,)))


def personal(store: Store, id: str, user: str, type: str, is_read: bool) -> None:
    """A message to the user alone."""
    written(
        store,
        "INSERT INTO messages (id, seq, change_seq, sender_key, sender_id, sender_name,"
        " sender_type, message_type, content, is_important, priority, client_msg_id, created_at)"
        " VALUES (%s, 0, 0, %s, 'shop', 'Shop', 'system', %s, 'hello', FALSE, 'high', %s, 1)",
        (id, key("shop"), type, id),
    )
    written(
        store,
        "INSERT INTO message_recipients"
        " (message, recipient_key, seq, change_seq, is_read, created_at)"
        " SELECT pk, %s, pk, pk, %s, 1 FROM messages WHERE id = %s",
        (user, is_read, id),
    )


def counted(database: Database, user: str) -> dict[str, Any]:
    """The same from all rows, by a few lines that share nothing with the query."""
    marks = dict(
        fetch(
            database,
            "SELECT conversation, last_read_seq FROM participants"
            " WHERE user_key = %s AND active = TRUE",
            (user,),
        )
    )
    names = dict(fetch(database, "SELECT pk, key FROM conversations"))
    mine = {
        pk
        for pk, is_read in fetch(
            database,
            "SELECT message, is_read FROM message_recipients WHERE recipient_key = %s",
            (user,),
        )
        if not is_read
    }
    unread = [
        (None if room is None else names[room].partition("/")[2], type, priority)
        for pk, room, seq, sender, type, priority, recalled_at in fetch(
            database,
            "SELECT pk, conversation, seq, sender_key, message_type, priority, recalled_at"
            " FROM messages",
        )
        if recalled_at is None
        and (pk in mine if room is None else seq > marks.get(room, 2**60) and sender != user)
    ]
    rooms = Counter(room for room, _, _ in unread)
    return {
        "total": len(unread),
        "inbox": rooms.pop(None, 0),
        "conversations": dict(rooms),
        "by_type": dict(Counter(type for _, type, _ in unread)),
        "by_priority": dict(Counter(priority for _, _, priority in unread)),
    }


def judge(store: Store, prefix: str, steps: list[tuple[Any, ...]]) -> None:
    rooms = [prefix + room for room in ROOMS]
    do(store, *[create(room, *USERS) for room in rooms])
    sent: list[str] = []
    for number, step in enumerate(steps):
        if step[0] == "recall":
            recall(store, sent, step[1])
        elif step[0] == "inbox":
            notify(store, f"{prefix}{number}", *step[1:])
        else:
            (outcome,) = do(store, command(prefix, step, NOW + number))
            if step[0] == "send" and outcome.reply is not None:
                sent.append(outcome.reply["message"]["id"])
            if step[0] == "read" and outcome.reply is not None:
                left = store.read(counted, key(step[2])).result(60)["conversations"]
                assert outcome.reply["unread"] == left.get(prefix + step[1], 0)
    for user in map(key, USERS):
        expected = store.read(counted, user).result(60)
        assert store.read(queries.unread, user).result(60) == expected
        both, newest = store.read(queries.unread_and_newest, user, 3).result(60)
        assert both == expected
        assert len(newest) == min(3, expected["total"])
        heads, _ = store.read(queries.heads, user, None, 200).result(60)
        shown = {head["conversation_id"]: head["unread"] for head in heads if head["unread"]}
        assert shown == expected["conversations"]
        for room in shown:
            count = store.read(queries.conversation_unread, user, key(room)).result(60)
            assert count == expected["conversations"][room]


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 20), ("tables", 12)])
def test_after_any_history_all_counts_are_what_the_rows_say(
    kind: str,
    examples: int,
    request: pytest.FixtureRequest,
    open_store: Callable[..., Store],
) -> None:
    store = open_store(request.getfixturevalue(f"{kind}_url"))
    runs = iter(range(1_000_000))

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(_steps)
    def check(steps: list[tuple[Any, ...]]) -> None:
        judge(store, f"run{next(runs)}-", steps)

    check()
