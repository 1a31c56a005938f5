"""Participants, read for several conversations at once."""

from typing import Any

from peewee import Database

from db import shapes
from db.cursors import from_cursor, to_cursor
from db.link import Row, fetch, fetch_many, is_postgres
from db.snapshot import snapshot

#: The order in which people are listed; `participants_listed` is the index for it.
LISTED = "p.role DESC, p.joined_at, p.user_key"

_ONE = (
    "SELECT p.conversation, p.user_key, u.name, p.role, p.last_read_seq, p.last_delivered_seq"
    " FROM participants AS p LEFT JOIN users AS u ON u.key = p.user_key"
    f" WHERE p.conversation = {{pk}} AND p.active = TRUE ORDER BY {LISTED}"
    f" LIMIT {shapes.SHOWN_PARTICIPANTS}"
)
#: The database joins each conversation to its own first participants, so that one of ten
#: thousand members costs as much as one of fifty.
_MANY = (
    "SELECT shown.* FROM (VALUES {values}) AS w (pk) CROSS JOIN LATERAL ("
    + _ONE.format(pk="w.pk")
    + ") AS shown"
)


def display_name(database: Database, user_key: str) -> str | None:
    """What a user is called now; None for somebody of whom nobody has heard."""
    rows = fetch(database, "SELECT name FROM users WHERE key = %s", (user_key,))
    return rows[0][0] if rows else None


def shown_rows(database: Database, conversations: list[int]) -> dict[int, list[Row]]:
    """The first participants of each conversation (by primary key), in the order listed:
    `(conversation, user_key, name, role, last_read_seq, last_delivered_seq)`."""
    found: dict[int, list[Row]] = {pk: [] for pk in conversations}
    if is_postgres(database):
        rows = fetch_many(database, _MANY, [(pk,) for pk in conversations])
    else:
        rows = []
        for pk in conversations:
            rows += fetch(database, _ONE.format(pk="%s"), (pk,))
    for row in rows:
        found[row[0]].append(row)
    return found


def shown_participants(
    database: Database, conversations: list[int]
) -> dict[int, list[dict[str, Any]]]:
    """The same as the wire shows them, without their marks."""
    return {
        pk: [shapes.participant(row[1], row[2], row[3]) for row in rows]
        for pk, rows in shown_rows(database, conversations).items()
    }


def participants(
    database: Database, user_key: str | None, conversation_key: str, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None] | None:
    """A page of the participants, the owner first, then as they came, with their marks, and the
    cursor of the next page. None for a conversation that is not there or that the user is not in.

    Raises AnmeiError(BAD_REQUEST) for a cursor that is none.
    """
    after = ""
    place: tuple[int | str, ...] = ()
    if cursor is not None:
        role, joined_at, last = from_cursor(cursor, tuple[str, int, str])
        after = " AND (p.role < %s OR (p.role = %s AND (p.joined_at, p.user_key) > (%s, %s)))"
        place = (role, role, joined_at, last)
    with snapshot(database):
        pk = visible(database, user_key, conversation_key)
        rows = fetch(
            database,
            "SELECT p.user_key, u.name, p.role, p.last_read_seq, p.last_delivered_seq, p.joined_at"
            " FROM participants AS p LEFT JOIN users AS u ON u.key = p.user_key"
            f" WHERE p.conversation = %s AND p.active = TRUE{after} ORDER BY {LISTED} LIMIT %s",
            (-1 if pk is None else pk, *place, limit + 1),
        )
    if pk is None:
        return None
    page = [with_marks(row) for row in rows[:limit]]
    if not len(rows) > limit > 0:
        return page, None
    end = rows[limit - 1]
    return page, to_cursor(end[2], end[5], end[0])


def small_conversations(
    database: Database, user_keys: list[str], most: int
) -> dict[str, list[str]]:
    """The keys of the conversations of at most `most` members that each of these users is in."""
    found: dict[str, list[str]] = {user_key: [] for user_key in user_keys}
    rows = fetch_many(
        database,
        "SELECT p.user_key, c.key FROM participants AS p"
        " JOIN conversations AS c ON c.pk = p.conversation"
        " WHERE p.user_key IN ({values}) AND p.active = TRUE"
        f" AND c.participant_count <= {most:d}",
        user_keys,
    )
    for user_key, conversation_key in rows:
        found[user_key].append(conversation_key)
    return found


def with_marks(row: Row) -> dict[str, Any]:
    """A participant from `(user_key, name, role, last_read_seq, last_delivered_seq)`."""
    return {
        **shapes.participant(row[0], row[1], row[2]),
        "last_read_seq": row[3],
        "last_delivered_seq": row[4],
    }


def visible(database: Database, user_key: str | None, conversation_key: str) -> int | None:
    """The primary key of the conversation, if this user may see it."""
    if user_key is None:
        rows = fetch(database, "SELECT pk FROM conversations WHERE key = %s", (conversation_key,))
    else:
        rows = fetch(
            database,
            "SELECT c.pk FROM conversations AS c JOIN participants AS p ON p.conversation = c.pk"
            " WHERE c.key = %s AND p.user_key = %s AND p.active = TRUE",
            (conversation_key, user_key),
        )
    return int(rows[0][0]) if rows else None
