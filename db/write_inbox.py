"""Personal messages: into the inboxes of those they are for, delivered, read and taken out."""

from typing import Any, NamedTuple

from anmei.commands import Change, Mark, Outcome, Post
from anmei.commands_inbox import MarkInbox, PostMessage, RemoveFromInbox
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.ids import id_of
from anmei.inbox import change_of, inbox_key
from db import shapes, write_attachments
from db.batch import Batch
from db.inboxes import Inbox
from db.link import Row, execute, fetch, fetch_many, insert_pages, update_many

_INSERT = (
    "INSERT INTO messages (id, conversation, seq, change_seq, sender_key, sender_id, sender_name,"
    " sender_type, message_type, content, is_important, priority, extra_metadata, client_msg_id,"
    " created_at, title, category, body)"
    " VALUES (%s, NULL, 0, 0, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (sender_key, client_msg_id) WHERE conversation IS NULL DO NOTHING"
)
_COPIES = (
    "INSERT INTO message_recipients (message, recipient_key, seq, change_seq, is_read, created_at)"
    " VALUES {values}"
)
_MESSAGE = f"{shapes.of('m')}, m.title, m.category"


def post(batch: Batch, command: PostMessage) -> Outcome:
    """The recipients' inboxes are there, and locked."""
    for field in ("content", "sender_name", "title", "category"):
        if "\0" in (getattr(command, field) or ""):
            # PostgreSQL keeps no such text, so neither database is given any.
            raise AnmeiError(ErrorCode.BAD_REQUEST, f"{field}: a NUL character is not allowed")
    stored = _stored(batch, command)
    if stored is not None:
        return _again(batch, command, *stored)
    asks = [(command.sender_key, False, id) for id in write_attachments.named_by(command)]
    if not write_attachments.allowed(batch.database, asks).issuperset(asks):
        raise not_found("attachment")
    execute(
        batch.database,
        _INSERT,
        (
            command.message_id,
            command.sender_key,
            id_of(command.sender_key),
            command.sender_name,
            command.sender_type,
            command.message_type,
            command.content,
            command.is_important,
            command.priority,
            command.extra_metadata,
            command.client_msg_id,
            command.created_at,
            command.title,
            command.category,
            command.body,
        ),
    )
    # Another node may have stored it just now.
    stored = _stored(batch, command)
    assert stored is not None
    pk, message = stored
    if message["id"] != command.message_id:
        return _again(batch, command, pk, message)
    write_attachments.link(batch.database, [(command.message_id, id) for _, _, id in asks])
    numbers = {}
    for user_key in sorted(set(command.recipient_keys)):
        inbox = batch.inboxes.get(user_key)
        numbers[user_key] = inbox.take_number()
        inbox.unread += 1
        batch.inboxes.changed(inbox)
    insert_pages(
        batch.database,
        _COPIES,
        [(pk, key, seq, seq, False, command.created_at) for key, seq in numbers.items()],
    )
    return _posted(message, numbers, len(numbers), duplicate=False)


def mark(batch: Batch, command: MarkInbox) -> Outcome:
    """The inbox is locked, where there is one."""
    inbox = batch.inboxes.get(command.user_key)
    changes: list[Change] = []
    more = False
    if command.seq is not None:
        place = min(command.seq, inbox.change_seq)
        more = _mark_upto(batch, inbox, place, command, changes)
    else:
        place = _mark_some(batch, inbox, command, changes)
    if command.device_id is not None and place > 0:
        _move_device(batch, command, command.device_id, place)
    return Outcome(
        reply={
            "conversation_id": None,
            "seq": inbox.read_seq if command.read else inbox.delivered_seq,
            "unread": inbox.unread,
            "last_seq": inbox.change_seq,
            "more": more,
        },
        changes=tuple(changes),
        mark=_mark(inbox) if changes else None,
    )


def _move_device(batch: Batch, command: MarkInbox, device_id: str, place: int) -> None:
    """The device holds everything up to `place`; where some were read one by one, no more than is
    read: it may not have come to what lies between them."""
    device = (command.user_key, device_id)
    if command.read and command.seq is None:
        ((unread,),) = fetch(
            batch.database,
            "SELECT min(seq) FROM message_recipients"
            " WHERE recipient_key = %s AND is_read = FALSE AND seq > coalesce("
            "(SELECT inbox_seq FROM devices WHERE user_key = %s AND device_id = %s), 0)",
            (command.user_key, *device),
        )
        place = place if unread is None else min(place, unread - 1)
    execute(
        batch.database,
        "UPDATE devices SET inbox_seq = %s WHERE user_key = %s AND device_id = %s"
        " AND coalesce(inbox_seq, 0) < %s",
        (place, *device, place),
    )


def remove(batch: Batch, command: RemoveFromInbox) -> Outcome:
    """The inbox is locked, where there is one."""
    inbox = batch.inboxes.get(command.user_key)
    copies = _copies(batch, inbox, (command.message_id,))
    if not copies:
        raise not_found("message")
    (copy,) = copies
    changes: list[Change] = []
    if copy.removed_at is None:
        inbox.unread -= not copy.is_read
        batch.inboxes.changed(inbox)
        columns = ("change_seq", "is_read", "removed_at")
        _set(batch, inbox, columns, [(inbox.take_number(), True, command.at, copy.message)])
    if copy.removed_at is None or batch.again:
        changes = _updated(batch, inbox, [copy.message])
    return Outcome(
        reply={"message_id": command.message_id, "unread": inbox.unread},
        changes=tuple(changes),
        mark=_mark(inbox) if changes else None,
    )


def _stored(batch: Batch, command: PostMessage) -> tuple[int, dict[str, Any]] | None:
    """The message that the sender means by this `client_msg_id`: its primary key, and as the wire
    shows it."""
    rows = fetch(
        batch.database,
        f"SELECT m.pk, {_MESSAGE} FROM messages AS m WHERE m.sender_key = %s"
        " AND m.client_msg_id = %s AND m.conversation IS NULL",
        (command.sender_key, command.client_msg_id),
    )
    if not rows:
        return None
    pk, *row, title, category = rows[0]
    return pk, {**shapes.message(tuple(row), None), "title": title, "category": category}


def _again(batch: Batch, command: PostMessage, pk: int, message: dict[str, Any]) -> Outcome:
    """Whoever stored it may have died before telling anybody: it is handed out again to those with
    whom nothing has become of it since."""
    rows = fetch(
        batch.database,
        "SELECT recipient_key, seq, change_seq FROM message_recipients WHERE message = %s",
        (pk,),
    )
    numbers = {key: seq for key, seq, change_seq in rows if seq == change_seq}
    return _posted(message, numbers, len(rows), duplicate=message["id"] != command.message_id)


def _posted(
    message: dict[str, Any], numbers: dict[str, int], count: int, *, duplicate: bool
) -> Outcome:
    return Outcome(
        reply={"message": message, "recipient_count": count, "duplicate": duplicate},
        post=Post(message, numbers),
    )


def _mark_upto(
    batch: Batch, inbox: Inbox, upto: int, command: MarkInbox, changes: list[Change]
) -> bool:
    """Mark what is above the inbox's mark and up to `upto`; whether some of it is left."""
    done = inbox.read_seq if command.read else inbox.delivered_seq
    if upto <= done:
        if batch.again and command.read and inbox.meta_seq:
            changes.append(_read_upto(inbox))
        return False
    span = (inbox.user_key, done, upto)
    where = "WHERE recipient_key = %s AND seq > %s AND seq <= %s"
    last = fetch(
        batch.database,
        f"SELECT seq FROM message_recipients {where} ORDER BY seq LIMIT 1 OFFSET %s",
        (*span, command.most - 1),
    )
    reached = int(last[0][0]) if last else upto
    span = (inbox.user_key, done, reached)
    inbox.delivered_seq = max(inbox.delivered_seq, reached)
    batch.inboxes.changed(inbox)
    if not command.read:
        execute(
            batch.database,
            f"UPDATE message_recipients SET delivered_at = %s {where} AND delivered_at IS NULL",
            (command.at, *span),
        )
        return reached < upto
    count = execute(
        batch.database,
        "UPDATE message_recipients SET is_read = TRUE, read_at = %s,"
        f" delivered_at = coalesce(delivered_at, %s) {where} AND is_read = FALSE",
        (command.at, command.at, *span),
    ).rowcount
    inbox.read_seq = reached
    if count:
        inbox.unread -= count
        inbox.read_at = command.at
        inbox.meta_seq = inbox.take_number()
        changes.append(_read_upto(inbox))
    return reached < upto


def _mark_some(batch: Batch, inbox: Inbox, command: MarkInbox, changes: list[Change]) -> int:
    """Mark those that are named; the highest number among them."""
    copies = _copies(batch, inbox, command.message_ids)
    _set(
        batch,
        inbox,
        ("delivered_at",),
        [(command.at, copy.message) for copy in copies if copy.delivered_at is None],
    )
    unread = [copy for copy in copies if command.read and not copy.is_read]
    if unread:
        numbers = [inbox.take_number() for _ in unread]
        inbox.unread -= len(unread)
        batch.inboxes.changed(inbox)
        _set(
            batch,
            inbox,
            ("change_seq", "is_read", "read_at"),
            [
                (number, True, command.at, copy.message)
                for number, copy in zip(numbers, unread, strict=True)
            ],
        )
    if batch.again and command.read:
        unread = copies
    changes += _updated(batch, inbox, [copy.message for copy in unread])
    return max((copy.seq for copy in copies), default=0)


def _read_upto(inbox: Inbox) -> Change:
    """The event that everything up to the inbox's mark is read."""
    data = shapes.inbox_read(inbox.meta_seq, inbox.read_seq, inbox.read_at)
    return change_of(inbox.user_key, inbox.meta_seq, "inbox_read", data)


class _Copy(NamedTuple):
    """One message in somebody's inbox."""

    #: The message's primary key.
    message: int
    seq: int
    is_read: bool
    delivered_at: int | None
    removed_at: int | None


def _copies(batch: Batch, inbox: Inbox, ids: tuple[str, ...]) -> list[_Copy]:
    """Those of the messages that are, or were, in the inbox, in its order."""
    rows = fetch_many(
        batch.database,
        "WITH w (id, recipient_key) AS (VALUES {values})"
        " SELECT m.pk, r.seq, r.is_read, r.delivered_at, r.removed_at"
        " FROM w CROSS JOIN messages AS m CROSS JOIN message_recipients AS r"
        " WHERE m.id = w.id AND r.message = m.pk AND r.recipient_key = w.recipient_key"
        " ORDER BY r.seq",
        [(id, inbox.user_key) for id in sorted(set(ids))],
    )
    return [_Copy(*row) for row in rows]


def _set(batch: Batch, inbox: Inbox, columns: tuple[str, ...], rows: list[Row]) -> None:
    """Write columns of copies in the inbox; each row is the columns, then the message."""
    update_many(
        batch.database,
        "message_recipients",
        ("message", "recipient_key"),
        columns,
        [(*row, inbox.user_key) for row in rows],
    )


def _updated(batch: Batch, inbox: Inbox, messages: list[int]) -> list[Change]:
    """The events that copies are which were changed one by one, as they are now."""
    rows = fetch_many(
        batch.database,
        "WITH w (message, recipient_key) AS (VALUES {values})"
        f" SELECT {shapes.COPY_COLUMNS}"
        " FROM w CROSS JOIN message_recipients AS r CROSS JOIN messages AS m"
        " WHERE r.message = w.message AND r.recipient_key = w.recipient_key AND m.pk = r.message"
        " ORDER BY r.change_seq",
        [(message, inbox.user_key) for message in messages],
    )
    return [change_of(inbox.user_key, *event) for event in map(shapes.inbox_change, rows)]


def _mark(inbox: Inbox) -> Mark:
    """For the owner's devices: how many are unread now."""
    return Mark(
        conversation_key=inbox_key(inbox.user_key),
        user_key=inbox.user_key,
        last_delivered_seq=inbox.delivered_seq,
        last_read_seq=inbox.read_seq,
        last_seq=inbox.change_seq,
        change_seq=inbox.change_seq,
        unread=inbox.unread,
        senders=frozenset(),
    )
