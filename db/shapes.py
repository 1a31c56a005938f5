"""Rows as the wire shows them."""

from typing import Any, NamedTuple

import ujson

from anmei.clock import to_wire
from anmei.commands_preferences import FOREVER
from anmei.ids import id_of
from db.link import Row

#: One event: (change_seq, type, data).
Event = tuple[int, str, dict[str, Any]]

#: The first participants that a head or a changed conversation shows.
SHOWN_PARTICIPANTS = 50

#: The events that carry a message.
MESSAGE_EVENTS = {
    type: pair
    for pair in (("new_message", "message_updated"), ("notification", "notification_updated"))
    for type in pair
}

MESSAGE_COLUMNS = (
    "id, seq, change_seq, sender_id, sender_name, sender_type, message_type, content,"
    " is_important, priority, reply_to, extra_metadata, client_msg_id, created_at, edited_at,"
    " recalled_at, mentions, forwarded_from, reactions, pinned_at, pinned_by, body,"
    " link_preview"
)


class Backlog(NamedTuple):
    """What a conversation, or an inbox, has above a number, as of one moment."""

    events: list[Event]
    #: Its last number at that moment.
    head: int
    #: Whether that is all there is up to `head`: whoever has it holds every message up to there.
    whole: bool


def of(table: str) -> str:
    """`MESSAGE_COLUMNS` of a table by its name in a query."""
    return ", ".join(f"{table}.{column.strip()}" for column in MESSAGE_COLUMNS.split(","))


def message(row: Row, conversation_id: str | None) -> dict[str, Any]:
    """A message from its `MESSAGE_COLUMNS`; a personal one is of no conversation."""
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


def message_event(seq: int, place: int, type: str = "new_message") -> str:
    """Which of the two a message is to somebody who holds all numbers up to `place`; `type` is
    either, of a conversation's or an inbox's."""
    new, changed = MESSAGE_EVENTS[type]
    return new if seq > place else changed


def message_change(message: dict[str, Any], place: int | None = None) -> Event:
    """The event that a message is now, `(change_seq, type, data)`, to somebody who holds all
    numbers up to `place`, or (None) all but this one."""
    change_seq = message["change_seq"]
    held = change_seq - 1 if place is None else place
    return change_seq, message_event(message["seq"], held), message


#: What a copy in an inbox has besides, of `messages AS m` and `message_recipients AS r`.
COPY_COLUMNS = (
    f"{of('m')}, m.title, m.category, r.seq, r.change_seq, r.is_read, r.read_at, r.removed_at"
)


def notification(row: Row) -> dict[str, Any]:
    """A personal message in somebody's inbox, from its `COPY_COLUMNS`."""
    *of_message, title, category, seq, change_seq, is_read, read_at, _ = row
    return {
        **message(tuple(of_message), None),
        "title": title,
        "category": category,
        "seq": seq,
        "inbox_seq": seq,
        "change_seq": change_seq,
        "is_read": bool(is_read),
        "read_at": _time(read_at),
    }


def inbox_change(row: Row, place: int | None = None) -> Event:
    """The same as `message_change`, from the `COPY_COLUMNS`; of a message that was taken out only
    that is told."""
    data = notification(row)
    change_seq = data["change_seq"]
    if row[-1] is not None:
        kept = ("id", "conversation_id", "inbox_seq", "change_seq")
        return change_seq, "notification_removed", {name: data[name] for name in kept}
    held = change_seq - 1 if place is None else place
    return change_seq, message_event(data["seq"], held, "notification"), data


def inbox_read(change_seq: int, read_seq: int, read_at: int) -> dict[str, Any]:
    """The data of `inbox_read`."""
    return {
        "conversation_id": None,
        "change_seq": change_seq,
        "read_seq": read_seq,
        "read_at": to_wire(read_at),
    }


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
