"""Rows as the wire shows them."""

from typing import Any

import ujson

from anmei.clock import to_wire
from anmei.commands_preferences import FOREVER
from anmei.ids import id_of
from db.link import Row

#: The first participants that a head or a changed conversation shows.
SHOWN_PARTICIPANTS = 50

#: The events that carry a message.
MESSAGE_EVENTS = ("new_message", "message_updated")

MESSAGE_COLUMNS = (
    "id, seq, change_seq, sender_id, sender_name, sender_type, message_type, content,"
    " is_important, priority, reply_to, extra_metadata, client_msg_id, created_at, edited_at,"
    " recalled_at, mentions, forwarded_from, reactions, pinned_at, pinned_by, body,"
    " link_preview"
)


def of(table: str) -> str:
    """`MESSAGE_COLUMNS` of a table by its name in a query."""
    return ", ".join(f"{table}.{column.strip()}" for column in MESSAGE_COLUMNS.split(","))


def message(row: Row, conversation_id: str | None) -> dict[str, Any]:
    """A message from its `MESSAGE_COLUMNS`."""
    return {
        "id": row[0],
        "conversation_id": conversation_id,
        "seq": row[1],
        "change_seq": row[2],
        "sender_id": row[3],
        "sender_name": row[4],
        "sender_type": row[5],
        "message_type": row[6],
        "content": row[7],
        "is_important": bool(row[8]),
        "priority": row[9],
        "reply_to": row[10],
        "extra_metadata": _json(row[11]),
        "body": _json(row[21]),
        "link_preview": _json(row[22]),
        "client_msg_id": row[12],
        "created_at": to_wire(row[13]),
        "edited_at": _time(row[14]),
        "recalled_at": _time(row[15]),
        "mentions": [] if row[16] is None else ujson.loads(row[16]),
        "forwarded_from": _json(row[17]),
        "reactions": [] if row[18] is None else ujson.loads(row[18]),
        "pinned_at": _time(row[19]),
        "pinned_by": row[20],
    }


def message_event(seq: int, place: int) -> str:
    """Which of the two a message is to somebody who holds all numbers up to `place`."""
    return "new_message" if seq > place else "message_updated"


def message_change(
    message: dict[str, Any], place: int | None = None
) -> tuple[int, str, dict[str, Any]]:
    """The event that a message is now, `(change_seq, type, data)`, to somebody who holds all
    numbers up to `place`, or (None) all but this one."""
    change_seq = message["change_seq"]
    held = change_seq - 1 if place is None else place
    return change_seq, message_event(message["seq"], held), message


def conversation(
    *,
    key: str,
    kind: str,
    title: str | None,
    owner_key: str,
    participant_count: int,
    participants: list[dict[str, Any]],
    created_at: int,
    updated_at: int,
    last_seq: int,
    change_seq: int,
) -> dict[str, Any]:
    """A conversation without anything personal."""
    return {
        "conversation_id": id_of(key),
        "kind": kind,
        "title": title,
        "owner_id": id_of(owner_key),
        "participant_count": participant_count,
        "participants": participants,
        "created_at": to_wire(created_at),
        "updated_at": to_wire(updated_at),
        "last_seq": last_seq,
        "change_seq": change_seq,
    }


def conversation_change(change_seq: int, conversation: dict[str, Any]) -> dict[str, Any]:
    """The data of `conversation_updated`."""
    return {
        "conversation_id": conversation["conversation_id"],
        "change_seq": change_seq,
        "conversation": conversation,
    }


def participant(user_key: str, name: str | None, role: str) -> dict[str, Any]:
    user_id = id_of(user_key)
    return {"user_id": user_id, "name": user_id if name is None else name, "role": role}


def _json(text: str | None) -> Any:
    return None if text is None else ujson.loads(text)


def preference(conversation_key: str, seq: int, values: Row) -> dict[str, Any]:
    """What somebody has set for a conversation; `values` are `muted_until`, `pinned_at`, `draft`
    and `draft_at`."""
    muted_until, pinned_at, draft, draft_at = values
    return {
        "conversation_id": id_of(conversation_key),
        "seq": seq,
        "muted": muted_until is not None,
        "muted_until": None if muted_until == FOREVER else _time(muted_until),
        "pinned_at": _time(pinned_at),
        "draft": draft or "",
        "draft_at": _time(draft_at),
    }


def _time(ms: int | None) -> str | None:
    return None if ms is None else to_wire(ms)
