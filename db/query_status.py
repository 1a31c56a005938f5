"""Who has received and read one message, and when."""

from typing import Any

from peewee import Database

from anmei.clock import to_wire
from anmei.ids import id_of, tenant_of
from db.cursors import from_cursor, to_cursor
from db.link import Row, fetch, fetch_many, marks
from db.snapshot import snapshot
from db.write_marks import MOST_TIMED

SENT, DELIVERED, READ = "sent", "delivered", "read"

_MESSAGE = (
    "SELECT m.pk, m.conversation, m.seq, m.sender_key, m.created_at, c.key FROM messages AS m"
    " LEFT JOIN conversations AS c ON c.pk = m.conversation WHERE m.id = %s"
)
#: Those whom a message of a conversation went to, and who are still in. Who came later may read
#: it too, but it was not sent to them.
_MEMBERS = (
    "FROM participants AS p WHERE p.conversation = %s AND p.active = TRUE"
    " AND p.user_key <> %s AND p.joined_seq < %s"
)
_RECIPIENTS = "FROM message_recipients AS r WHERE r.message = %s"


def message_status(
    database: Database,
    tenant: str,
    asker_key: str | None,
    message_id: str,
    cursor: str | None,
    limit: int,
) -> dict[str, Any] | None:
    """`{"message_id", "conversation_id", "sent_at", "status", "recipients", "delivered", "read",
    "receipts": [{"user_id", "name", "status", "delivered_at", "read_at"}], "next_cursor"}`; the
    receipts are a page, ordered by user.

    `status` is what every recipient has reached. None for a message that is not there or not the
    asker's own; without an asker (for those who may see all) any of the tenant. Times are None
    where they are not known: see `db.write_marks.KEPT_MOVES`.
    Raises AnmeiError(BAD_REQUEST) for a cursor that is none.
    """
    after = "" if cursor is None else str(from_cursor(cursor, tuple[str])[0])
    with snapshot(database):
        found = fetch(database, _MESSAGE, (message_id,))
        if not found or tenant_of(found[0][3]) != tenant:
            return None
        pk, conversation, seq, sender_key, sent_at, key = found[0]
        if asker_key is not None and not _is_own(database, asker_key, conversation, sender_key):
            return None
        if conversation is None:
            counts, page = _inbox(database, pk, after, limit + 1)
        else:
            place = (conversation, sender_key, seq)
            counts, page = _conversation(database, place, after, limit + 1)
    recipients, delivered, read = counts
    return {
        "message_id": message_id,
        "conversation_id": None if key is None else id_of(key),
        "sent_at": to_wire(sent_at),
        "status": _status(0 < recipients == delivered, 0 < recipients == read),
        "recipients": recipients,
        "delivered": delivered,
        "read": read,
        "receipts": [_receipt(row) for row in page[:limit]],
        "next_cursor": to_cursor(page[limit - 1][0]) if len(page) > limit else None,
    }


def recent_statuses(
    database: Database, conversation_keys: list[str], message_ids: list[str], limit: int
) -> dict[str, dict[str, Any]]:
    """By id: `{"status", "recipients", "delivered", "read"}` of the last messages of each
    conversation of at most `MOST_TIMED`, and of the personal messages that are named."""
    rows: list[Row] = []
    for key in conversation_keys:
        rows += fetch(
            database,
            "SELECT t.id, count(p.user_key),"
            " count(CASE WHEN p.last_delivered_seq >= t.seq THEN 1 END),"
            " count(CASE WHEN p.last_read_seq >= t.seq THEN 1 END) FROM (SELECT m.id, m.seq,"
            " m.sender_key, m.conversation FROM messages AS m"
            " JOIN conversations AS c ON c.pk = m.conversation WHERE c.key = %s"
            " AND c.participant_count <= %s ORDER BY m.seq DESC LIMIT %s) AS t"
            " LEFT JOIN participants AS p ON p.conversation = t.conversation AND p.active = TRUE"
            " AND p.user_key <> t.sender_key AND p.joined_seq < t.seq GROUP BY t.id",
            (key, MOST_TIMED, limit),
        )
    rows += fetch_many(
        database,
        "SELECT m.id, count(*), count(r.delivered_at), count(r.read_at) FROM messages AS m"
        " JOIN message_recipients AS r ON r.message = m.pk"
        " WHERE m.id IN ({values}) GROUP BY m.id",
        message_ids,
    )
    return {
        id: {
            "status": _status(0 < recipients == delivered, 0 < recipients == read),
            "recipients": recipients,
            "delivered": delivered,
            "read": read,
        }
        for id, recipients, delivered, read in rows
    }


def _is_own(database: Database, asker_key: str, conversation: int | None, sender_key: str) -> bool:
    """Whether the asker sent it, and is still where it was sent."""
    if asker_key != sender_key or conversation is None:
        return asker_key == sender_key
    return bool(
        fetch(
            database,
            "SELECT 1 FROM participants"
            " WHERE conversation = %s AND user_key = %s AND active = TRUE",
            (conversation, asker_key),
        )
    )


def _conversation(
    database: Database, place: tuple[int, str, int], after: str, limit: int
) -> tuple[Row, list[Row]]:
    """How many recipients, received, read; and a page of `(user_key, name, is_delivered, is_read,
    delivered_at, read_at)`."""
    conversation, _, seq = place
    ((recipients, delivered, read),) = fetch(
        database,
        "SELECT count(*), count(CASE WHEN p.last_delivered_seq >= %s THEN 1 END),"
        f" count(CASE WHEN p.last_read_seq >= %s THEN 1 END) {_MEMBERS}",
        (seq, seq, *place),
    )
    people = fetch(
        database,
        "SELECT p.user_key, (SELECT u.name FROM users AS u WHERE u.key = p.user_key),"
        f" p.last_delivered_seq >= %s, p.last_read_seq >= %s {_MEMBERS}"
        " AND p.user_key > %s ORDER BY p.user_key LIMIT %s",
        (seq, seq, *place, after, limit),
    )
    times: dict[str, Row] = {}
    if people:
        times = {
            user_key: (delivered_at, read_at)
            for user_key, delivered_at, read_at in fetch(
                database,
                "SELECT v.user_key,"
                " max(CASE WHEN v.delivered_from < %s AND v.delivered_seq >= %s THEN v.at END),"
                " max(CASE WHEN v.read_from < %s AND v.read_seq >= %s THEN v.at END)"
                " FROM mark_moves AS v WHERE v.conversation = %s"
                f" AND v.user_key IN ({marks(len(people))}) GROUP BY v.user_key",
                (seq, seq, seq, seq, conversation, *(row[0] for row in people)),
            )
        }
    return (recipients, delivered, read), [
        (*row, *times.get(row[0], (None, None))) for row in people
    ]


def _inbox(database: Database, message: int, after: str, limit: int) -> tuple[Row, list[Row]]:
    """The same of a personal message; taken out of an inbox, it is not read for that."""
    ((recipients, delivered, read),) = fetch(
        database,
        f"SELECT count(*), count(r.delivered_at), count(r.read_at) {_RECIPIENTS}",
        (message,),
    )
    people = fetch(
        database,
        "SELECT r.recipient_key, (SELECT u.name FROM users AS u WHERE u.key = r.recipient_key),"
        " r.delivered_at IS NOT NULL, r.read_at IS NOT NULL, r.delivered_at, r.read_at"
        f" {_RECIPIENTS} AND r.recipient_key > %s ORDER BY r.recipient_key LIMIT %s",
        (message, after, limit),
    )
    return (recipients, delivered, read), people


def _receipt(row: Row) -> dict[str, Any]:
    user_key, name, delivered, read, delivered_at, read_at = row
    user_id = id_of(user_key)
    return {
        "user_id": user_id,
        "name": user_id if name is None else name,
        "status": _status(delivered, read),
        "delivered_at": None if delivered_at is None else to_wire(delivered_at),
        "read_at": None if read_at is None else to_wire(read_at),
    }


def _status(delivered: bool, read: bool) -> str:
    if read:
        return READ
    return DELIVERED if delivered else SENT
