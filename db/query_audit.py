"""Who changed which message."""

from typing import Any

from peewee import Database

from anmei.clock import to_wire
from anmei.ids import id_of
from db.cursors import from_cursor, to_cursor
from db.link import fetch


def audit(
    database: Database,
    tenant: str,
    conversation_key: str | None,
    message_id: str | None,
    actor_key: str | None,
    cursor: str | None,
    limit: int,
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of what was done in a tenant, the last first, narrowed by what is given, and the
    cursor of the next page.

    Raises AnmeiError(BAD_REQUEST) for a cursor that is none.
    """
    terms: list[str] = ["a.tenant = %s"]
    values: list[Any] = [tenant]
    if conversation_key is not None:
        terms.append("a.conversation = (SELECT pk FROM conversations WHERE key = %s)")
        values.append(conversation_key)
    if message_id is not None:
        terms.append("a.message_id = %s")
        values.append(message_id)
    if actor_key is not None:
        terms.append("a.actor_key = %s")
        values.append(actor_key)
    if cursor is not None:
        terms.append("a.pk < %s")
        values += from_cursor(cursor, tuple[int])
    rows = fetch(
        database,
        "SELECT a.pk, a.at, a.action, a.actor_key, a.agent_key, c.key, a.message_id, a.change_seq"
        " FROM audit AS a LEFT JOIN conversations AS c ON c.pk = a.conversation"
        f" WHERE {' AND '.join(terms)} ORDER BY a.pk DESC LIMIT %s",
        (*values, limit + 1),
    )
    page = [
        {
            "at": to_wire(row[1]),
            "action": row[2],
            "actor_id": id_of(row[3]),
            "agent_id": None if row[4] is None else id_of(row[4]),
            "conversation_id": None if row[5] is None else id_of(row[5]),
            "message_id": row[6],
            "change_seq": row[7],
        }
        for row in rows[:limit]
    ]
    return page, to_cursor(rows[limit - 1][0]) if len(rows) > limit else None
