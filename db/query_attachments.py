"""Files: what there is of one, and who may have it."""

from typing import Any

from peewee import Database

from db.link import Row, fetch

#: Whether a message that this user may read carries the file `a`: one of a conversation that they
#: are in, or one in their inbox. Takes the user's key twice.
CARRIED = (
    "(EXISTS (SELECT 1 FROM attachment_links AS l JOIN messages AS m ON m.pk = l.message"
    " JOIN participants AS p ON p.conversation = m.conversation"
    " WHERE l.attachment = a.pk AND p.user_key = %s AND p.active = TRUE)"
    " OR EXISTS (SELECT 1 FROM attachment_links AS l JOIN message_recipients AS r"
    " ON r.message = l.message WHERE l.attachment = a.pk AND r.recipient_key = %s"
    " AND r.removed_at IS NULL))"
)

UPLOAD_COLUMNS = (
    "id, owner_key, state, size, received, name, content_type, metadata, place, expires_at"
)


def upload(database: Database, owner_key: str, attachment_id: str) -> dict[str, Any] | None:
    """An upload or a file as its owner sees it, None for anybody else and for one that is gone."""
    rows = fetch(
        database,
        f"SELECT {UPLOAD_COLUMNS} FROM attachments"
        " WHERE id = %s AND owner_key = %s AND state <> 'removed'",
        (attachment_id, owner_key),
    )
    return as_upload(rows[0]) if rows else None


def as_upload(row: Row) -> dict[str, Any]:
    """An upload from its `UPLOAD_COLUMNS`."""
    return dict(zip(UPLOAD_COLUMNS.split(", "), row, strict=True))


def attachment(
    database: Database, viewer_key: str | None, tenant: str, attachment_id: str
) -> dict[str, Any] | None:
    """A file that is ready, if the viewer (None: any of the tenant) may have it: their own, or one
    that a message carries which they may read. `{"id", "size", "name", "content_type", "safe",
    "sha256", "place"}`."""
    sql = (
        "SELECT a.id, a.size, a.name, a.content_type, a.safe, a.sha256, a.place"
        " FROM attachments AS a WHERE a.id = %s AND a.tenant = %s AND a.state = 'ready'"
    )
    values: tuple[str, ...] = (attachment_id, tenant)
    if viewer_key is not None:
        sql += f" AND (a.owner_key = %s OR {CARRIED})"
        values += (viewer_key,) * 3
    rows = fetch(database, sql, values)
    if not rows:
        return None
    id, size, name, content_type, safe, sha256, place = rows[0]
    return {
        "id": id,
        "size": size,
        "name": name,
        "content_type": content_type,
        "safe": bool(safe),
        "sha256": sha256,
        "place": place,
    }


def removed_files(database: Database, now: int, limit: int) -> list[tuple[str, str]]:
    """`(id, place)` of files whose data is to go and that nobody writes to any more."""
    rows = fetch(
        database,
        "SELECT id, place FROM attachments WHERE state = 'removed' AND lease_until < %s"
        " ORDER BY expires_at LIMIT %s",
        (now, limit),
    )
    return [(row[0], row[1]) for row in rows]
