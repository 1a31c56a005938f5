"""What happened in a conversation, or an inbox: its messages and changes."""

from typing import Any

from peewee import Database

from anmei.commands import Audience
from anmei.ids import id_of
from anmei.inbox import audience_of, is_inbox
from db import query_heads, query_inbox, shapes
from db.link import Row, fetch, fetch_many, is_postgres
from db.pages import fetch_page, fitting, text_bytes
from db.query_people import visible
from db.shapes import Backlog, Event
from db.snapshot import snapshot

_LAST = 2**63 - 1

HOLE_PAGE = 500  # events of a hole that are read at once


def changes(database: Database, conversation_key: str, after: int, limit: int) -> Backlog:
    """The first events with change_seq > `after`, ascending: at most `limit` messages, and fewer
    where they are long. What was changed again later appears only with its latest number, as
    `new_message` where its `seq` is above `after` too.

    There is no upper end, on purpose: a message that is changed while somebody reads up to an end
    would pass that end, and be missed by whoever takes it for one that he holds.
    """
    with snapshot(database):
        return _changes(database, conversation_key, after, limit)


def distance(database: Database, conversation_key: str, after: int, most: int) -> int:
    """How many messages have a change_seq > `after`; not counted further than `most`."""
    if is_inbox(conversation_key):
        return query_inbox.distance(database, conversation_key, within(after, 0), most)
    rows = fetch(
        database,
        "SELECT count(*) FROM (SELECT 1 FROM messages AS m WHERE m.conversation ="
        " (SELECT pk FROM conversations WHERE key = %s) AND m.change_seq > %s LIMIT %s) AS found",
        (conversation_key, within(after, 0), most),
    )
    return int(rows[0][0])


def newest(database: Database, conversation_key: str, limit: int) -> tuple[int, Backlog]:
    """The last messages by their `seq`, as they are now, and the number that the page begins
    above: at most `limit`, and fewer where they are long. The events ascend by change_seq."""
    if is_inbox(conversation_key):
        return query_inbox.newest(database, conversation_key, limit)
    with snapshot(database):
        head, row = _head(database, conversation_key)
        if row is None:
            return 0, Backlog([], head, True)
        seqs, _ = _fitting(database, (row[1], 0, _LAST), "DESC", limit)
        begun = seqs[-1] - 1 if seqs else 0
        found = fetch(
            database,
            f"SELECT {shapes.MESSAGE_COLUMNS} FROM messages"
            " WHERE conversation = %s AND seq > %s ORDER BY change_seq",
            (row[1], begun),
        )
        events = _events(database, conversation_key, found, row, begun, whole=True)
    if not seqs and events:
        begun = events[0][0] - 1
    return begun, Backlog(events, head, True)


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
    span = (within(after_seq, 0), within(before_seq, _LAST))
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


def hole(database: Database, conversation_key: str, after: int) -> tuple[Backlog, Audience]:
    """The first `changes`, and who is in the conversation now."""
    found = changes(database, conversation_key, after, HOLE_PAGE)
    return found, audience(database, conversation_key) or Audience(0, frozenset())


def audience(database: Database, conversation_key: str) -> Audience | None:
    """Who is in the conversation; None where there is no such conversation."""
    if is_inbox(conversation_key):
        return audience_of(conversation_key)
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
    places = {key: seq for key, seq in known if not is_inbox(key)}
    rows = fetch_many(
        database,
        "SELECT key, change_seq FROM conversations WHERE key IN ({values})",
        list(places),
    )
    moved = [(key, change_seq) for key, change_seq in rows if change_seq > places[key]]
    return moved + query_inbox.changed_since(
        database, {key: seq for key, seq in known if is_inbox(key)}
    )


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


def _changes(database: Database, conversation_key: str, after: int, limit: int) -> Backlog:
    if is_inbox(conversation_key):
        return query_inbox.changes(database, conversation_key, within(after, 0), limit)
    head, row = _head(database, conversation_key)
    if row is None:
        return Backlog([], 0, True)
    first = within(after, 0)
    found, whole = fetch_page(
        database,
        shapes.of("m"),
        "messages AS m WHERE m.conversation = %s AND m.change_seq > %s",
        (row[1], first),
        "m.change_seq",
        limit,
    )
    return Backlog(_events(database, conversation_key, found, row, first, whole), head, whole)


def _head(database: Database, conversation_key: str) -> tuple[int, Row | None]:
    """The conversation's last number, and `(meta_seq, *query_heads.PUBLIC)`, None where it is
    not there."""
    rows = fetch(
        database,
        f"SELECT c.change_seq, c.meta_seq, {query_heads.PUBLIC} FROM conversations AS c"
        " WHERE c.key = %s",
        (conversation_key,),
    )
    return (rows[0][0], rows[0][1:]) if rows else (0, None)


def _events(
    database: Database, conversation_key: str, found: list[Row], row: Row, after: int, whole: bool
) -> list[Event]:
    """These messages, `whole` if they are all above `after`, and the conversation's own change
    where it is among them, ascending."""
    events = message_events(conversation_key, found, after)
    if changed_within(row[0], events, after, whole):
        add_change(events, row[0], query_heads.public(database, row[1:]))
    return events


def message_events(conversation_key: str, found: list[Row], after: int) -> list[Event]:
    """What messages are, from their `MESSAGE_COLUMNS`, to somebody who holds all up to `after`."""
    conversation_id = id_of(conversation_key)
    return [shapes.message_change(shapes.message(each, conversation_id), after) for each in found]


def changed_within(meta_seq: int, events: list[Event], after: int, whole: bool) -> bool:
    """Whether the conversation's own change is among these events, `whole` if they are all above
    `after`."""
    return after < meta_seq and (whole or meta_seq < events[-1][0])


def add_change(events: list[Event], meta_seq: int, conversation: dict[str, Any]) -> None:
    """Puts the conversation's own change in its place."""
    data = shapes.conversation_change(meta_seq, conversation)
    events.append((meta_seq, "conversation_updated", data))
    events.sort(key=lambda event: event[0])


def _fitting(
    database: Database, span: tuple[int, int, int], order: str, limit: int
) -> tuple[list[int], bool]:
    """The numbers of the messages that fit on a page, at least one where there are any, and whether
    there are more. Only their lengths are read: the texts of a page of long ones take megabytes."""
    found = fetch(
        database,
        f"SELECT seq, {text_bytes(database)} FROM messages"
        f" WHERE conversation = %s AND seq > %s AND seq < %s ORDER BY seq {order} LIMIT %s",
        (*span, limit + 1),
    )
    seqs = [seq for seq, _ in found[: fitting(size for _, size in found[:limit])]]
    return seqs, len(found) > len(seqs)


def within(number: int | None, default: int) -> int:
    """A number that the database can compare."""
    return default if number is None else max(-1, min(number, _LAST))
