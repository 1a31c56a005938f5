"""Keeping the search index up with the messages: what is new by its place in their table, what was
changed by a queue.

Nothing of it is done in the transaction that sends: `pending` reads what is missing and `write`
enters it, later. Several processes may do so at once: what one of them wrote in between makes the
other's `write` do nothing.
"""

from typing import Any, NamedTuple

import ujson
from peewee import Database

from anmei.ids import tenant_of
from anmei.words import words
from db.link import Row, execute, fetch, insert_many, is_postgres, marks

#: Characters that are read at once, besides one text that is longer by itself.
MAX_TEXTS = 131_072

#: The parts of a body that people read, and so look for.
_READABLE = ("title", "text", "name", "alt")

_TEXTS = "pk, conversation, created_at, recalled_at, sender_key, message_type, title, content, body"


class Horizon(NamedTuple):
    """Once the transaction `xid` is older than all that run, no message up to the primary key
    `pk` can still appear."""

    pk: int
    xid: int


class Pending(NamedTuple):
    """What the index lacks."""

    version: int
    #: The messages up to here are in the index with what this brings.
    position: int
    #: `(message, place, created_at, words)`
    rows: list[Row]
    #: Messages that must not be found any more.
    gone: list[int]
    #: The rows of the queue that this brings up to date.
    queue: list[int]
    #: To be handed to the next `pending`.
    horizon: Horizon | None
    #: Whether there is more.
    more: bool

    @property
    def empty(self) -> bool:
        return not (self.rows or self.gone or self.queue)


def searchable(title: str | None, content: str, body: str | None) -> str:
    """The text that a message is found by: its title and content, and what one reads of its
    body."""
    held = {} if body is None else ujson.loads(body)
    more = [held[name] for name in _READABLE if isinstance(held.get(name), str)]
    return "\n".join(part for part in (title, content, *more) if part)


def place_mark(place: int, tenant: str) -> str:
    """The word of every message of one conversation, or of all inboxes of a tenant."""
    return f"={place}" if place else f"=!{tenant}"


def sender_mark(sender_key: str) -> str:
    return f"@{sender_key}"


def kind_mark(message_type: str) -> str:
    return f"#{message_type}"


def pending(database: Database, horizon: Horizon | None, limit: int) -> Pending:
    """At most `limit` of the messages that are new, and as many that have changed."""
    state = fetch(database, "SELECT position, version FROM search_state")
    position, version = state[0] if state else (0, 0)
    queue = fetch(database, "SELECT pk, message FROM search_queue ORDER BY pk LIMIT %s", (limit,))
    changed = sorted({message for _, message in queue})
    again = []
    if changed:
        again = fetch(
            database, f"SELECT {_TEXTS} FROM messages WHERE pk IN ({marks(len(changed))})", changed
        )
    settled, horizon = _settled(database, position, horizon)
    found: list[Row] = []
    if settled > position:
        found = fetch(
            database,
            f"SELECT {_TEXTS} FROM messages WHERE pk > %s AND pk <= %s ORDER BY pk LIMIT %s",
            (position, settled, limit),
        )
    fresh = _fitting(found)
    whole = len(fresh) == len(found) < limit
    if settled > position:
        position = settled if whole else fresh[-1][0]
    rows = {row[0]: row for row in (*again, *fresh)}
    return Pending(
        version,
        position,
        [_indexed(row) for row in rows.values() if row[3] is None],
        [pk for pk, row in rows.items() if row[3] is not None],
        [pk for pk, _ in queue],
        horizon,
        not whole or len(queue) == limit,
    )


def write(database: Database, found: Pending) -> bool:
    """Enter what is pending, in the transaction that is open. False where another process has
    written since it was read, or is writing now: then nothing was done."""
    skip = " FOR UPDATE SKIP LOCKED" if is_postgres(database) else ""
    execute(database, "INSERT INTO search_state VALUES (1, 0, 0) ON CONFLICT DO NOTHING")
    state = fetch(database, f"SELECT version FROM search_state{skip}")
    if state != [(found.version,)]:
        return False
    forget(database, found.gone)
    _enter(database, found.rows)
    if found.queue:
        execute(
            database,
            f"DELETE FROM search_queue WHERE pk IN ({marks(len(found.queue))})",
            found.queue,
        )
    execute(
        database,
        "UPDATE search_state SET position = %s, version = version + 1",
        (found.position,),
    )
    return True


def forget(database: Database, pks: list[int]) -> None:
    """Have the messages of these primary keys not found any more."""
    if not pks:
        return
    execute(database, f"DELETE FROM search_index WHERE message IN ({marks(len(pks))})", pks)
    if not is_postgres(database):
        execute(database, f"DELETE FROM search_words WHERE rowid IN ({marks(len(pks))})", pks)


def up_to_date(database: Database) -> bool:
    """Whether everything that is committed is in the index."""
    return bool(
        fetch(
            database,
            "SELECT coalesce((SELECT max(pk) FROM messages), 0)"
            " <= coalesce((SELECT position FROM search_state), 0)"
            " AND NOT EXISTS (SELECT 1 FROM search_queue)",
        )[0][0]
    )


def _settled(
    database: Database, position: int, horizon: Horizon | None
) -> tuple[int, Horizon | None]:
    """Up to which primary key every message that will ever be there is there now.

    PostgreSQL gives the keys out before the commit, so that a lower one may appear behind a higher
    one; until every transaction is over that ran when the higher one was seen.
    """
    if not is_postgres(database):
        return _newest(database), None
    if horizon is None:
        newest = _newest(database)
        if newest <= position:
            return position, None
        # A number of its own: those that have been given out so far are lower.
        ((xid,),) = fetch(database, "SELECT txid_current()")
        horizon = Horizon(newest, xid)
    ((oldest,),) = fetch(database, "SELECT txid_snapshot_xmin(txid_current_snapshot())")
    return (horizon.pk, None) if oldest > horizon.xid else (position, horizon)


def _newest(database: Database) -> int:
    return int(fetch(database, "SELECT coalesce(max(pk), 0) FROM messages")[0][0])


def _fitting(found: list[Row]) -> list[Row]:
    room = MAX_TEXTS
    for number, row in enumerate(found):
        room -= len(row[7])
        if number and room < 0:
            return found[:number]
    return found


def _indexed(row: Row) -> Row:
    pk, conversation, created_at, _, sender_key, message_type, *texts = row
    place = conversation or 0
    given = [
        place_mark(place, tenant_of(sender_key)),
        sender_mark(sender_key),
        kind_mark(message_type),
    ]
    return pk, place, created_at, given + words(searchable(*texts))


def _enter(database: Database, rows: list[Row]) -> None:
    if is_postgres(database):
        insert_many(
            database,
            "INSERT INTO search_index (message, place, created_at, words) VALUES {values}"
            " ON CONFLICT (message) DO UPDATE SET words = excluded.words",
            rows,
        )
        return
    insert_many(
        database,
        "INSERT INTO search_index (message, place, created_at) VALUES {values}"
        " ON CONFLICT (message) DO NOTHING",
        [row[:3] for row in rows],
    )
    joined: list[tuple[Any, ...]] = [(row[0], " ".join(row[3])) for row in rows]
    insert_many(
        database, "INSERT OR REPLACE INTO search_words (rowid, words) VALUES {values}", joined
    )
