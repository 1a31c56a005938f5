"""One message, who reacted to it, and what is pinned."""

from typing import Any

from peewee import Database

from anmei.clock import to_wire
from anmei.ids import id_of, tenant_of
from db import shapes
from db.cursors import from_cursor, to_cursor
from db.link import Row, fetch
from db.query_people import visible
from db.snapshot import snapshot


def message(
    database: Database, tenant: str, user_key: str | None, message_id: str
) -> dict[str, Any] | None:
    """The message as it is now; None where there is none, or none for the user's eyes (None: all
    of the tenant)."""
    found = _visible(database, tenant, user_key, message_id)
    if found is None:
        return None
    conversation_key, _, row = found
    return shapes.message(row, id_of(conversation_key))


def reactions(
    database: Database,
    tenant: str,
    user_key: str | None,
    message_id: str,
    emoji: str | None,
    cursor: str | None,
    limit: int,
) -> tuple[list[dict[str, Any]], str | None] | None:
    """A page of a message's reactions, those with one emoji (None: all, by emoji) as they came,
    and the cursor of the next page. None as for `message`.

    Raises AnmeiError(BAD_REQUEST) for a cursor that is none.
    """
    after = ""
    place: tuple[int | str, ...] = ()
    if cursor is not None:
        after = " AND (r.emoji, r.pk) > (%s, %s)"
        place = from_cursor(cursor, tuple[str, int])
    if emoji is not None:
        after += " AND r.emoji = %s"
        place = (*place, emoji)
    with snapshot(database):
        found = _visible(database, tenant, user_key, message_id)
        rows = fetch(
            database,
            "SELECT r.emoji, r.pk, r.user_key, u.name, r.created_at FROM reactions AS r"
            " LEFT JOIN users AS u ON u.key = r.user_key"
            f" WHERE r.message = %s{after} ORDER BY r.emoji, r.pk LIMIT %s",
            (-1 if found is None else found[1], *place, limit + 1),
        )
    if found is None:
        return None
    page = [
        {
            "emoji": row[0],
            "user_id": id_of(row[2]),
            "name": row[3] or id_of(row[2]),
            "created_at": to_wire(row[4]),
        }
        for row in rows[:limit]
    ]
    return page, to_cursor(*rows[limit - 1][:2]) if len(rows) > limit else None


def pins(
    database: Database, user_key: str | None, conversation_key: str, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None] | None:
    """A page of the pinned messages, pinned last first, and the cursor of the next page. None for
    a conversation that is not there or that the user is not in.

    Raises AnmeiError(BAD_REQUEST) for a cursor that is none.
    """
    after = ""
    place: tuple[int | str, ...] = ()
    if cursor is not None:
        after = " AND (pinned_at, seq) < (%s, %s)"
        place = from_cursor(cursor, tuple[int, int])
    with snapshot(database):
        pk = visible(database, user_key, conversation_key)
        rows = fetch(
            database,
            f"SELECT pinned_at, seq, {shapes.MESSAGE_COLUMNS} FROM messages"
            f" WHERE conversation = %s AND pinned_at IS NOT NULL{after}"
            " ORDER BY pinned_at DESC, seq DESC LIMIT %s",
            (-1 if pk is None else pk, *place, limit + 1),
        )
    if pk is None:
        return None
    conversation_id = id_of(conversation_key)
    page = [shapes.message(row[2:], conversation_id) for row in rows[:limit]]
    return page, to_cursor(*rows[limit - 1][:2]) if len(rows) > limit else None


def _visible(
    database: Database, tenant: str, user_key: str | None, message_id: str
) -> tuple[str, int, Row] | None:
    """The key of the message's conversation, its own primary key, and its columns."""
    rows = fetch(
        database,
        f"SELECT c.key, m.pk, {shapes.of('m')} FROM messages AS m"
        " JOIN conversations AS c ON c.pk = m.conversation WHERE m.id = %s",
        (message_id,),
    )
    if not rows or tenant_of(rows[0][0]) != tenant:
        return None
    key = rows[0][0]
    if user_key is not None and visible(database, user_key, key) is None:
        return None
    return key, rows[0][1], rows[0][2:]
