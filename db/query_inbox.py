"""What is in a user's inbox, and what has changed there."""

from typing import Any

from peewee import Database

from anmei.inbox import owner_of
from db import shapes
from db.cursors import from_cursor, to_cursor
from db.link import Row, fetch, fetch_many
from db.pages import fetch_page
from db.shapes import Backlog, Event
from db.snapshot import snapshot

_SOURCE = (
    "message_recipients AS r JOIN messages AS m ON m.pk = r.message WHERE r.recipient_key = %s"
)
_UNREAD = " AND r.is_read = FALSE"


def inbox(
    database: Database, user_key: str, cursor: str | None, limit: int, unread: bool
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the inbox, the newest first, and the cursor of the next one; with `unread`, of
    what is not read alone. At most `limit`, and fewer where they are long.

    Raises AnmeiError(BAD_REQUEST) for a cursor that is none.
    """
    where = _UNREAD if unread else " AND r.removed_at IS NULL"
    place: tuple[int | str, ...] = ()
    if cursor is not None:
        where += " AND r.seq < %s"
        place = from_cursor(cursor, tuple[int])
    rows, whole = fetch_page(
        database,
        shapes.COPY_COLUMNS,
        f"{_SOURCE}{where}",
        (user_key, *place),
        "r.seq",
        limit + 1,
        "DESC",
    )
    page = [shapes.notification(row) for row in rows[:limit]]
    return page, None if whole or not page else to_cursor(page[-1]["inbox_seq"])


def newest_unread(database: Database, user_key: str, limit: int) -> list[dict[str, Any]]:
    """The last messages of the inbox that are not read, the newest first."""
    rows = fetch(
        database,
        f"SELECT {shapes.COPY_COLUMNS} FROM {_SOURCE}{_UNREAD} ORDER BY r.seq DESC LIMIT %s",
        (user_key, limit),
    )
    return [shapes.notification(row) for row in rows]


def inbox_head(database: Database, user_key: str, device_id: str) -> tuple[int, int, int | None]:
    """The inbox's last number, what is unread in it, and up to where this device says it has it."""
    rows = fetch(
        database,
        "SELECT i.change_seq, i.unread, (SELECT d.inbox_seq FROM devices AS d"
        " WHERE d.user_key = i.user_key AND d.device_id = %s)"
        " FROM inboxes AS i WHERE i.user_key = %s",
        (device_id, user_key),
    )
    return rows[0] if rows else (0, 0, None)


def inbox_unread(database: Database, key: str, limit: int) -> tuple[bool, Backlog]:
    """The last `limit` messages of the inbox `key` that are not read, in the order of their events,
    and whether there are more."""
    with snapshot(database):
        head, _ = _head(database, key)
        rows, whole = _newest(database, key, _UNREAD, limit)
    events = sorted((shapes.inbox_change(row, 0) for row in rows), key=_number)
    return not whole, Backlog(events, head, True)


# What the queries of the same names are where a conversation is an inbox


def changes(database: Database, key: str, after: int, limit: int) -> Backlog:
    head, row = _head(database, key)
    found, whole = fetch_page(
        database,
        shapes.COPY_COLUMNS,
        f"{_SOURCE} AND r.change_seq > %s",
        (owner_of(key), after),
        "r.change_seq",
        limit,
    )
    return Backlog(_events(found, row, after, whole), head, whole)


def distance(database: Database, key: str, after: int, most: int) -> int:
    rows = fetch(
        database,
        "SELECT count(*) FROM (SELECT 1 FROM message_recipients AS r"
        " WHERE r.recipient_key = %s AND r.change_seq > %s LIMIT %s) AS found",
        (owner_of(key), after, most),
    )
    return int(rows[0][0])


def newest(database: Database, key: str, limit: int) -> tuple[int, Backlog]:
    with snapshot(database):
        head, row = _head(database, key)
        found, _ = _newest(database, key, "", limit)
    begun = min((shapes.notification(each)["seq"] for each in found), default=1) - 1
    return begun, Backlog(_events(found, row, begun, whole=True), head, True)


def changed_since(database: Database, places: dict[str, int]) -> list[tuple[str, int]]:
    keys = {owner_of(key): key for key in places}
    rows = fetch_many(
        database,
        "SELECT user_key, change_seq FROM inboxes WHERE user_key IN ({values})",
        list(keys),
    )
    return [(keys[user_key], seq) for user_key, seq in rows if seq > places[keys[user_key]]]


def _head(database: Database, key: str) -> tuple[int, Row]:
    """The inbox's last number, and `(meta_seq, read_seq, read_at)`."""
    rows = fetch(
        database,
        "SELECT change_seq, meta_seq, read_seq, read_at FROM inboxes WHERE user_key = %s",
        (owner_of(key),),
    )
    return (rows[0][0], rows[0][1:]) if rows else (0, (0, 0, 0))


def _newest(database: Database, key: str, where: str, limit: int) -> tuple[list[Row], bool]:
    """The last copies, the newest first, as many as fit on a page, and whether those are all."""
    values = (owner_of(key),)
    return fetch_page(
        database, shapes.COPY_COLUMNS, f"{_SOURCE}{where}", values, "r.seq", limit, "DESC"
    )


def _events(found: list[Row], row: Row, after: int, whole: bool) -> list[Event]:
    """These messages, `whole` if they are all above `after`, and how far all is read, where that
    is among them, ascending."""
    events = sorted((shapes.inbox_change(each, after) for each in found), key=_number)
    meta_seq = row[0]
    if after < meta_seq and (whole or meta_seq < events[-1][0]):
        events.append((meta_seq, "inbox_read", shapes.inbox_read(*row)))
        events.sort(key=_number)
    return events


def _number(event: Event) -> int:
    return event[0]
