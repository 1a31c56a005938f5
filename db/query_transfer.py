"""A whole conversation, a piece at a time."""

from typing import Any

from peewee import Database

from anmei.clock import to_wire
from anmei.ids import id_of
from db import shapes
from db.link import fetch, fetch_many
from db.snapshot import snapshot


def export_head(database: Database, conversation_key: str) -> dict[str, Any] | None:
    """What the conversation is, and how many people and messages belong to it; None where there is
    none. Fields as in `transfer.Head`."""
    with snapshot(database):
        rows = fetch(
            database,
            "SELECT c.key, c.kind, c.title, c.owner_key, c.created_at, c.updated_at, c.last_seq,"
            " c.change_seq, c.meta_seq,"
            " (SELECT count(*) FROM participants AS p WHERE p.conversation = c.pk),"
            " (SELECT count(*) FROM messages AS m WHERE m.conversation = c.pk)"
            " FROM conversations AS c WHERE c.key = %s",
            (conversation_key,),
        )
    if not rows:
        return None
    row = rows[0]
    return {
        "conversation_id": id_of(row[0]),
        "kind": row[1],
        "title": row[2],
        "owner_id": id_of(row[3]),
        "created_at": to_wire(row[4]),
        "updated_at": to_wire(row[5]),
        "last_seq": row[6],
        "change_seq": row[7],
        "meta_seq": row[8],
        "participants": row[9],
        "messages": row[10],
    }


def export_people(
    database: Database, conversation_key: str, after: str, limit: int
) -> list[tuple[str, dict[str, Any]]]:
    """The first people whose key is above `after`, as `(user_key, fields of transfer.Person)`."""
    rows = fetch(
        database,
        "SELECT p.user_key, u.name, p.role, p.active, p.joined_at, p.joined_seq, p.left_at,"
        " p.last_delivered_seq, p.last_read_seq FROM participants AS p"
        " LEFT JOIN users AS u ON u.key = p.user_key"
        " WHERE p.conversation = (SELECT pk FROM conversations WHERE key = %s)"
        " AND p.user_key > %s ORDER BY p.user_key LIMIT %s",
        (conversation_key, after, limit),
    )
    return [
        (
            row[0],
            {
                "user_id": id_of(row[0]),
                "name": id_of(row[0]) if row[1] is None else row[1],
                "role": row[2],
                "active": bool(row[3]),
                "joined_at": to_wire(row[4]),
                "joined_seq": row[5],
                "left_at": None if row[6] is None else to_wire(row[6]),
                "last_delivered_seq": row[7],
                "last_read_seq": row[8],
            },
        )
        for row in rows
    ]


def export_messages(
    database: Database, conversation_key: str, after: int, upto: int, limit: int
) -> list[dict[str, Any]]:
    """The first messages with `after` < seq <= `upto`, as the wire shows them."""
    rows = fetch(
        database,
        f"SELECT {shapes.MESSAGE_COLUMNS} FROM messages"
        " WHERE conversation = (SELECT pk FROM conversations WHERE key = %s)"
        " AND seq > %s AND seq <= %s ORDER BY seq LIMIT %s",
        (conversation_key, after, upto, limit),
    )
    return [shapes.message(row, id_of(conversation_key)) for row in rows]


def export_reactions(
    database: Database, message_id: str, after: tuple[str, int], limit: int
) -> list[tuple[tuple[str, int], dict[str, Any]]]:
    """The first reactions to a message behind `after` (an emoji and a primary key), each with
    its place: fields of `transfer.Reaction`."""
    rows = fetch(
        database,
        "SELECT r.emoji, r.pk, r.user_key, r.created_at FROM reactions AS r"
        " WHERE r.message = (SELECT pk FROM messages WHERE id = %s)"
        " AND (r.emoji, r.pk) > (%s, %s) ORDER BY r.emoji, r.pk LIMIT %s",
        (message_id, *after, limit),
    )
    return [
        (
            (emoji, pk),
            {
                "message_id": message_id,
                "user_id": id_of(user_key),
                "emoji": emoji,
                "created_at": to_wire(created_at),
            },
        )
        for emoji, pk, user_key, created_at in rows
    ]


def are_in(database: Database, conversation_key: str, message_ids: list[str]) -> set[str]:
    """Those of the messages that are in the conversation."""
    rows = fetch(database, "SELECT pk FROM conversations WHERE key = %s", (conversation_key,))
    found = fetch_many(
        database, "SELECT id, conversation FROM messages WHERE id IN ({values})", message_ids
    )
    return {id for id, conversation in found if (conversation,) in rows}
