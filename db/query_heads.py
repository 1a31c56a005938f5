"""Conversations as one user sees them: heads, with marks, unread and the last message."""

from typing import Any, NamedTuple

from peewee import Database

from anmei.codec import encode
from anmei.ids import id_of
from anmei.inbox import inbox_key, is_inbox, owner_of
from db import query_unread, shapes
from db.cursors import from_cursor, to_cursor
from db.link import Row, fetch, fetch_many
from db.query_inbox import inbox_head
from db.query_people import shown_participants, shown_rows, with_marks
from db.snapshot import snapshot

_CONVERSATION = (
    "c.pk, c.key, c.kind, c.title, c.owner_key, c.participant_count, c.created_at, c.updated_at,"
    " c.last_seq, c.change_seq"
)
_HEAD = f"{_CONVERSATION}, p.last_read_seq, p.last_delivered_seq"
_MINE = "FROM participants AS p JOIN conversations AS c ON c.pk = p.conversation"
_NEWEST = "ORDER BY c.updated_at DESC, c.pk DESC"

#: A head shows no more characters of its last message.
MAX_LAST_CONTENT = 2_048
#: A list of heads ends where it takes this many bytes on the wire.
MAX_HEADS_BYTES = 524_288

_LAST_MESSAGE = shapes.of("m").replace("m.content", f"substr(m.content, 1, {MAX_LAST_CONTENT + 1})")


class Place(NamedTuple):
    """Where a user, and one device of his, stand in a conversation, or in the inbox."""

    conversation_key: str
    change_seq: int
    #: What this device has acknowledged, or None where it has acknowledged nothing yet.
    device_seq: int | None
    delivered_seq: int
    participant_count: int
    #: The number of the change that let the user in.
    joined_seq: int


class AttachView(NamedTuple):
    """What a device needs when it connects, as of one moment."""

    #: All the user's conversations, the latest change first.
    places: list[Place]
    #: The heads of the first of them, as many as fit.
    heads: list[dict[str, Any]]
    has_more: bool
    #: Whether the user has connected with this device before.
    device_known: bool
    #: What the user wants to be shown as while online.
    status: str
    #: The inbox, where the device is told of it, and what is unread in it.
    inbox: Place | None
    inbox_unread: int


def attach_view(
    database: Database,
    user_key: str,
    device_id: str,
    heads_limit: int,
    only: str | None = None,
) -> AttachView:
    """The view of a user's device; with `only`, of that one conversation of his alone, or of that
    inbox, whosever it is."""
    narrowed = "" if only is None else " AND c.key = %s"
    owner = owner_of(only) if only is not None and is_inbox(only) else user_key
    inbox, inbox_unread = None, 0
    with snapshot(database):
        rows = fetch(
            database,
            f"SELECT {_HEAD}, d.seq, p.joined_seq {_MINE}"
            " LEFT JOIN device_marks AS d ON d.conversation = c.pk AND d.device ="
            " (SELECT pk FROM devices WHERE user_key = %s AND device_id = %s)"
            f" WHERE p.user_key = %s AND p.active = TRUE{narrowed} {_NEWEST}",
            (user_key, device_id, user_key, *(() if only is None else (only,))),
        )
        heads = _fitting(_heads(database, user_key, rows[:heads_limit]))
        known = fetch(
            database,
            "SELECT 1 FROM devices WHERE user_key = %s AND device_id = %s",
            (user_key, device_id),
        )
        status = fetch(database, "SELECT status FROM users WHERE key = %s", (user_key,))
        if only is None or is_inbox(only):
            last, inbox_unread, place = inbox_head(
                database, owner, device_id if owner == user_key else ""
            )
            inbox = Place(inbox_key(owner), last, place, 0, 1, 0)
    return AttachView(
        [Place(row[1], row[9], row[12], row[11], row[5], row[13]) for row in rows],
        heads,
        len(rows) > len(heads),
        bool(known),
        status[0][0] if status else "online",
        inbox,
        inbox_unread,
    )


def device_place(database: Database, user_key: str, device_id: str, conversation_key: str) -> int:
    """Up to where a device has acknowledged a conversation, or, where it never has, its user; what
    was there before the user came in it was never sent."""
    rows = fetch(
        database,
        f"SELECT coalesce(d.seq, p.last_delivered_seq), p.joined_seq {_MINE}"
        " LEFT JOIN device_marks AS d ON d.conversation = c.pk AND d.device ="
        " (SELECT pk FROM devices WHERE user_key = %s AND device_id = %s)"
        " WHERE p.user_key = %s AND c.key = %s",
        (user_key, device_id, user_key, conversation_key),
    )
    return max(rows[0]) if rows else 0


def memberships(database: Database, told: dict[str, int]) -> dict[str, list[Place]]:
    """Of users, and in how many conversations each is taken to be, those who are in more or fewer:
    all conversations of each."""
    rows = fetch_many(
        database,
        "SELECT user_key, count(*) FROM participants"
        " WHERE user_key IN ({values}) AND active = TRUE GROUP BY user_key",
        list(told),
    )
    found: dict[str, list[Place]] = {key: [] for key, count in rows if count != told[key]}
    rows = fetch_many(
        database,
        "SELECT p.user_key, c.key, c.change_seq, p.last_delivered_seq, c.participant_count,"
        f" p.joined_seq {_MINE} WHERE p.user_key IN ({{values}}) AND p.active = TRUE",
        list(found),
    )
    for user_key, key, change_seq, delivered_seq, count, joined_seq in rows:
        found[user_key].append(Place(key, change_seq, None, delivered_seq, count, joined_seq))
    return found


def heads(
    database: Database, user_key: str, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the user's conversations, latest change first, and the cursor of the next page.
    At most `limit`, and fewer where they are large.

    Raises AnmeiError(BAD_REQUEST) for a cursor that is none.
    """
    after = "" if cursor is None else " AND (c.updated_at, c.pk) < (%s, %s)"
    place = () if cursor is None else from_cursor(cursor, tuple[int, int])
    with snapshot(database):
        rows = fetch(
            database,
            f"SELECT {_HEAD} {_MINE} WHERE p.user_key = %s AND p.active = TRUE{after}"
            f" {_NEWEST} LIMIT %s",
            (user_key, *place, limit + 1),
        )
        page = _fitting(_heads(database, user_key, rows[:limit]))
    if not len(rows) > len(page) > 0:
        return page, None
    end = rows[len(page) - 1]
    return page, to_cursor(end[7], end[0])


def conversation(
    database: Database, user_key: str | None, conversation_key: str
) -> dict[str, Any] | None:
    """The head of one conversation; None where it is not there or the user is not in it. Without
    a user (for those who may see all) the marks and unread are 0."""
    with snapshot(database):
        if user_key is None:
            rows = fetch(
                database,
                f"SELECT {_CONVERSATION}, 0, 0 FROM conversations AS c WHERE c.key = %s",
                (conversation_key,),
            )
        else:
            rows = fetch(
                database,
                f"SELECT {_HEAD} {_MINE} WHERE c.key = %s AND p.user_key = %s AND p.active = TRUE",
                (conversation_key, user_key),
            )
        found = _heads(database, user_key, rows)
    return found[0] if found else None


def public(database: Database, row: Row) -> dict[str, Any]:
    """A conversation without anything personal, from the columns of `PUBLIC`."""
    return public_many(database, [row])[row[1]]


def public_many(database: Database, rows: list[Row]) -> dict[str, dict[str, Any]]:
    """The same for several, by their keys."""
    people = shown_participants(database, [row[0] for row in rows])
    return {row[1]: _public(row, people[row[0]]) for row in rows}


#: The columns that `public` takes, of `conversations AS c`.
PUBLIC = _CONVERSATION


def _heads(database: Database, user_key: str | None, rows: list[Row]) -> list[dict[str, Any]]:
    """The heads of rows that begin with `_HEAD`."""
    people = shown_rows(database, [row[0] for row in rows])
    counts = _unread(database, user_key, [row[0] for row in rows if row[8] > row[10]])
    last = _last_messages(database, rows)
    found = []
    for row in rows:
        head = _public(
            row,
            [with_marks(one[1:]) for one in people[row[0]]],
        )
        found.append(
            {
                "conversation_id": head["conversation_id"],
                "kind": head["kind"],
                "title": head["title"],
                "owner_id": head["owner_id"],
                "last_seq": head["last_seq"],
                "change_seq": head["change_seq"],
                "last_read_seq": row[10],
                "last_delivered_seq": row[11],
                "unread": counts.get(row[0], 0),
                "participant_count": head["participant_count"],
                "participants": head["participants"],
                "created_at": head["created_at"],
                "updated_at": head["updated_at"],
                "last_message": last.get(row[0]),
            }
        )
    return found


def _fitting(heads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of the heads, as many as may be sent together, and one at least."""
    room = MAX_HEADS_BYTES - len("[")
    for number, head in enumerate(heads):
        room -= len(encode(head)) + len(",")
        if number and room < 0:
            return heads[:number]
    return heads


def _public(row: Row, participants: list[dict[str, Any]]) -> dict[str, Any]:
    return shapes.conversation(
        key=row[1],
        kind=row[2],
        title=row[3],
        owner_key=row[4],
        participant_count=row[5],
        participants=participants,
        created_at=row[6],
        updated_at=row[7],
        last_seq=row[8],
        change_seq=row[9],
    )


def _unread(database: Database, user_key: str | None, conversations: list[int]) -> dict[int, int]:
    if user_key is None or not conversations:
        return {}
    return dict(
        fetch_many(
            database,
            "WITH w (conversation, user_key) AS (VALUES {values})"
            f" SELECT c.pk, {query_unread.COUNT} FROM w CROSS JOIN conversations AS c"
            " CROSS JOIN participants AS p WHERE c.pk = w.conversation"
            " AND p.conversation = w.conversation AND p.user_key = w.user_key",
            [(pk, user_key) for pk in conversations],
        )
    )


def _last_messages(database: Database, rows: list[Row]) -> dict[int, dict[str, Any]]:
    ids = {row[0]: id_of(row[1]) for row in rows}
    return {
        row[0]: _shortened(shapes.message(row[1:], ids[row[0]]))
        for row in fetch_many(
            database,
            "WITH w (conversation, seq) AS (VALUES {values})"
            f" SELECT w.conversation, {_LAST_MESSAGE} FROM w CROSS JOIN messages AS m"
            " WHERE m.conversation = w.conversation AND m.seq = w.seq",
            [(row[0], row[8]) for row in rows if row[8]],
        )
    }


def _shortened(message: dict[str, Any]) -> dict[str, Any]:
    """The message as a head shows it; `content_truncated` is there only where it was cut."""
    content = message["content"]
    if len(content) <= MAX_LAST_CONTENT:
        return message
    return {**message, "content": content[:MAX_LAST_CONTENT], "content_truncated": True}
