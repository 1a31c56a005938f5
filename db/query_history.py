"""What happened in a conversation: its messages and changes."""

from collections.abc import Sequence
from typing import Any

from peewee import Database

from anmei.commands import Audience
from anmei.ids import id_of
from db import query_heads, shapes
from db.link import Row, fetch, fetch_many, is_postgres
from db.query_people import visible
from db.snapshot import snapshot

#: One event: (change_seq, type, data).
Event = tuple[int, str, dict[str, Any]]

_LAST = 2**63 - 1

#: A page of history ends before its texts take more bytes than this, however few those are.
MAX_PAGE_BYTES = 262_144

_TEXTS = (
    "content",
    *(f"coalesce({column}, '')" for column in ("extra_metadata", "body", "link_preview")),
)


def changes(
    database: Database, conversation_key: str, after: int, upto: int | None, limit: int
) -> list[Event]:
    """The first `limit` events with `after` < change_seq <= `upto` (None: all there are),
    ascending. What was changed again later appears only with its latest number."""
    with snapshot(database):
        return _changes(database, conversation_key, after, upto, limit)


def changes_many(
    database: Database, wanted: Sequence[tuple[str, int, int | None]], limit: int
) -> dict[str, list[Event]]:
    """`changes` for several conversations `(conversation_key, after, upto)` as of one moment."""
    with snapshot(database):
        return {key: _changes(database, key, after, upto, limit) for key, after, upto in wanted}


def newest(database: Database, conversation_key: str, upto: int | None, limit: int) -> list[Event]:
    """The last `limit` events up to `upto` (None: all there are), ascending."""
    with snapshot(database):
        return _changes(database, conversation_key, 0, upto, limit, backwards=True)


def history(
    database: Database,
    user_key: str | None,
    conversation_key: str,
    before_seq: int | None,
    after_seq: int | None,
    limit: int,
) -> dict[str, Any] | None:
    """`{"messages": […], "has_more"}`, ascending: the first after `after_seq` where that is given,
    else the last before `before_seq` (None: the newest); at most `limit`, and fewer where they are
    long. None for a conversation that is not there or that the user is not in."""
    order = "DESC" if after_seq is None else "ASC"
    span = (_within(after_seq, 0), _within(before_seq, _LAST))
    seqs: list[int] = []
    rows: list[Row] = []
    more = False
    with snapshot(database):
        pk = visible(database, user_key, conversation_key)
        if pk is not None:
            seqs, more = _fitting(database, (pk, *span), order, limit)
        if seqs:
            rows = fetch(
                database,
                f"SELECT {shapes.MESSAGE_COLUMNS} FROM messages"
                " WHERE conversation = %s AND seq >= %s AND seq <= %s ORDER BY seq",
                (pk, min(seqs), max(seqs)),
            )
    if pk is None:
        return None
    conversation_id = id_of(conversation_key)
    return {"messages": [shapes.message(row, conversation_id) for row in rows], "has_more": more}


def hole(
    database: Database, conversation_key: str, after: int, upto: int
) -> tuple[list[Event], Audience]:
    """`changes` without a limit, and who is in the conversation now."""
    found = changes(database, conversation_key, after, upto, _LAST)
    return found, audience(database, conversation_key) or Audience(0, frozenset())


def audience(database: Database, conversation_key: str) -> Audience | None:
    """Who is in the conversation; None where there is no such conversation."""
    rows = fetch(
        database,
        "SELECT c.members_version, p.user_key FROM conversations AS c LEFT JOIN participants AS p"
        " ON p.conversation = c.pk AND p.active = TRUE WHERE c.key = %s",
        (conversation_key,),
    )
    if not rows:
        return None
    return Audience(rows[0][0], frozenset(row[1] for row in rows if row[1] is not None))


def changed_since(database: Database, known: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Of conversations `(conversation_key, change_seq)` those that have moved on, with their
    change_seq now."""
    places = dict(known)
    rows = fetch_many(
        database,
        "SELECT key, change_seq FROM conversations WHERE key IN ({values})",
        list(places),
    )
    return [(key, change_seq) for key, change_seq in rows if change_seq > places[key]]


def now(database: Database) -> int:
    """The database's clock, in milliseconds since 1970."""
    if is_postgres(database):
        sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    else:
        sql = "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
    return int(fetch(database, sql)[0][0])


def ping(database: Database) -> bool:
    """Whether the database answers."""
    return fetch(database, "SELECT 1") == [(1,)]


def _changes(
    database: Database,
    conversation_key: str,
    after: int,
    upto: int | None,
    limit: int,
    *,
    backwards: bool = False,
) -> list[Event]:
    rows = fetch(
        database,
        f"SELECT c.meta_seq, {query_heads.PUBLIC} FROM conversations AS c WHERE c.key = %s",
        (conversation_key,),
    )
    if not rows:
        return []
    ((meta_seq, *row),) = rows
    last = _within(upto, _LAST)
    first = _within(after, 0)
    found = fetch(
        database,
        f"SELECT {shapes.MESSAGE_COLUMNS} FROM messages"
        " WHERE conversation = %s AND change_seq > %s AND change_seq <= %s"
        f" ORDER BY change_seq {'DESC' if backwards else 'ASC'} LIMIT %s",
        (row[0], first, last, limit),
    )
    events = [
        shapes.message_change(shapes.message(each, id_of(conversation_key))) for each in found
    ]
    if first < meta_seq <= last:
        data = shapes.conversation_change(meta_seq, query_heads.public(database, tuple(row)))
        events.append((meta_seq, "conversation_updated", data))
    events.sort(key=lambda event: event[0])
    return events[-limit:] if backwards else events[:limit]


def _fitting(
    database: Database, span: tuple[int, int, int], order: str, limit: int
) -> tuple[list[int], bool]:
    """The numbers of the messages that fit on a page, at least one where there are any, and whether
    there are more. Only their lengths are read: the texts of a page of long ones take megabytes."""
    text = "octet_length({})" if is_postgres(database) else "length(CAST({} AS BLOB))"
    found = fetch(
        database,
        f"SELECT seq, {' + '.join(map(text.format, _TEXTS))} FROM messages"
        f" WHERE conversation = %s AND seq > %s AND seq < %s ORDER BY seq {order} LIMIT %s",
        (*span, limit + 1),
    )
    seqs: list[int] = []
    room = MAX_PAGE_BYTES
    for seq, size in found[:limit]:
        room -= size
        if seqs and room < 0:
            break
        seqs.append(seq)
    return seqs, len(found) > len(seqs)


def _within(number: int | None, default: int) -> int:
    """A number that the database can compare."""
    return default if number is None else max(-1, min(number, _LAST))
