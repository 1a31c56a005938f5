"""What a user has not read, counted from the messages themselves.

Unread is a message of somebody else above the user's read mark that nobody has recalled. Every
count of the program is made of the pieces here, so that no two of them can differ.
"""

from typing import Any, get_args

from peewee import Database

from anmei.clock import to_wire
from anmei.frames import MessageType, Priority
from anmei.ids import id_of
from db import shapes
from db.link import Row, fetch, fetch_many
from db.query_inbox import newest_unread
from db.snapshot import snapshot

#: Of `messages AS m`, for the user whose key the place holder stands for.
COUNTS = "m.sender_key <> {user_key} AND m.recalled_at IS NULL"

_MINE = "FROM participants AS p JOIN conversations AS c ON c.pk = p.conversation"
_ABOVE_MARK = (
    "FROM messages AS m WHERE m.conversation = c.pk AND m.seq > p.last_read_seq AND "
    + COUNTS.format(user_key="p.user_key")
)
#: Counted for each conversation by itself: joined, PostgreSQL reads all messages of all of them.
COUNT = f"(SELECT count(*) {_ABOVE_MARK})"

_TYPES: tuple[str, ...] = get_args(MessageType)
_PRIORITIES: tuple[str, ...] = get_args(Priority)
#: How many in all, of each type, and of each priority, as one text: to count them in one look at
#: each message costs a tenth of what grouping them does.
_NUMBERS = " || ' ' || ".join(
    (
        "count(*)",
        *(f"count(CASE WHEN m.message_type = '{name}' THEN 1 END)" for name in _TYPES),
        *(f"count(CASE WHEN m.priority = '{name}' THEN 1 END)" for name in _PRIORITIES),
    )
)


def unread(database: Database, user_key: str) -> dict[str, Any]:
    """`{"total", "inbox", "conversations": {conversation_id: n}, "by_type": {message_type: n},
    "by_priority": {priority: n}}`; of conversations, types and priorities only those with any."""
    return unread_of(database, [user_key])[user_key]


def unread_of(database: Database, user_keys: list[str]) -> dict[str, dict[str, Any]]:
    """`unread` of several users, by their keys."""
    with snapshot(database):
        return _unread(database, user_keys)


def unread_and_newest(
    database: Database, user_key: str, limit: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`unread`, and the newest of these messages, the newest first, as of one moment."""
    with snapshot(database):
        return _unread(database, [user_key])[user_key], _newest(database, user_key, limit)


def _unread(database: Database, user_keys: list[str]) -> dict[str, dict[str, Any]]:
    rows = fetch_many(
        database,
        f"SELECT p.user_key, c.key, (SELECT {_NUMBERS} {_ABOVE_MARK}) {_MINE}"
        " WHERE p.user_key IN ({values}) AND p.active = TRUE AND c.last_seq > p.last_read_seq",
        user_keys,
    )
    rows += fetch_many(
        database,
        f"SELECT r.recipient_key, NULL, {_NUMBERS} FROM message_recipients AS r"
        " JOIN messages AS m ON m.pk = r.message WHERE r.recipient_key IN ({values})"
        " AND r.is_read = FALSE AND m.recalled_at IS NULL GROUP BY r.recipient_key",
        user_keys,
    )
    found: dict[str, list[Row]] = {key: [] for key in user_keys}
    for user_key, *row in rows:
        found[user_key].append(tuple(row))
    return {key: _summed(rows) for key, rows in found.items()}


def _newest(database: Database, user_key: str, limit: int) -> list[dict[str, Any]]:
    found = newest_unread(database, user_key, limit)
    places = fetch(
        database,
        f"SELECT c.pk, c.key, c.updated_at, p.last_read_seq {_MINE} WHERE p.user_key = %s"
        " AND p.active = TRUE AND c.last_seq > p.last_read_seq ORDER BY c.updated_at DESC LIMIT %s",
        (user_key, limit),
    )
    for pk, key, updated_at, mark in places:
        found.sort(key=lambda message: str(message["created_at"]), reverse=True)
        if len(found) >= limit and found[limit - 1]["created_at"] > to_wire(updated_at):
            break
        rows = fetch(
            database,
            f"SELECT {shapes.of('m')} FROM messages AS m WHERE m.conversation = %s AND m.seq > %s"
            f" AND {COUNTS.format(user_key='%s')} ORDER BY m.seq DESC LIMIT %s",
            (pk, mark, user_key, limit),
        )
        found += [shapes.message(row, id_of(key)) for row in rows]
    found.sort(key=lambda message: str(message["created_at"]), reverse=True)
    return found[:limit]


def conversation_unread(database: Database, user_key: str, conversation_key: str) -> int | None:
    """The user's unread messages in one conversation; None for one that is not the user's."""
    rows = fetch(
        database,
        f"SELECT {COUNT} {_MINE} WHERE c.key = %s AND p.user_key = %s AND p.active = TRUE",
        (conversation_key, user_key),
    )
    return int(rows[0][0]) if rows else None


def _summed(rows: list[Row]) -> dict[str, Any]:
    """The answer from rows of a conversation's key, None for the inbox, and its numbers."""
    sums = [0] * (1 + len(_TYPES) + len(_PRIORITIES))
    conversations: dict[str, int] = {}
    inbox = 0
    for key, text in rows:
        numbers = [int(number) for number in text.split()]
        if key is None:
            inbox = numbers[0]
        elif numbers[0]:
            conversations[id_of(key)] = numbers[0]
        sums = [a + b for a, b in zip(sums, numbers, strict=True)]
    total, *rest = sums
    types, priorities = rest[: len(_TYPES)], rest[len(_TYPES) :]
    return {
        "total": total,
        "inbox": inbox,
        "conversations": conversations,
        "by_type": _some(_TYPES, types),
        "by_priority": _some(_PRIORITIES, priorities),
    }


def _some(names: tuple[str, ...], numbers: list[int]) -> dict[str, int]:
    return {name: number for name, number in zip(names, numbers, strict=True) if number}
