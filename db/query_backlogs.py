"""What many conversations have above where somebody stands, in a few queries for all of them.

No inbox is asked for here: somebody has only one.
"""

from collections.abc import Iterable, Sequence

from peewee import Database

from db import query_heads, shapes
from db.link import Row, fetch, fetch_many, is_postgres, marks, placeholders
from db.pages import fitting, text_bytes
from db.query_history import add_change, changed_within, message_events, within
from db.shapes import Backlog, Event
from db.snapshot import snapshot

#: `{w}` stands for rows of (number, conversation's primary key, place).
_WANTED = "WITH w (n, conversation, place) AS (VALUES {w})"

#: The messages above the places, ascending: number, primary key and bytes. Without a limit for each
#: PostgreSQL might find it best to read all messages that there are.
_ABOVE = (
    f"{_WANTED} SELECT w.n, m.pk, {{size}} FROM w CROSS JOIN messages AS m"
    " WHERE m.conversation = w.conversation AND m.change_seq > w.place"
    " ORDER BY w.n, m.change_seq LIMIT {limit}"
)
_ABOVE_POSTGRES = (
    f"{_WANTED} SELECT w.n, one.pk, one.size FROM w CROSS JOIN LATERAL"
    " (SELECT m.pk, m.change_seq, {size} AS size FROM messages AS m"
    " WHERE m.conversation = w.conversation AND m.change_seq > w.place"
    " ORDER BY m.change_seq LIMIT {limit}) AS one ORDER BY w.n, one.change_seq LIMIT {limit}"
)

#: The messages whose `seq` are the places.
_AT = (
    f"{_WANTED} SELECT w.n, m.pk, {{size}} FROM w CROSS JOIN messages AS m"
    " WHERE m.conversation = w.conversation AND m.seq = w.place ORDER BY w.n LIMIT {limit}"
)


def changes_many(
    database: Database, wanted: Sequence[tuple[str, int]], limit: int
) -> dict[str, Backlog]:
    """`changes` for several conversations `(conversation_key, after)` as of one moment, by their
    keys: at most `limit` messages of all together, and fewer where they are long. Those at the end
    that no longer fit are left out; of the last one that is there not everything may be."""
    with snapshot(database):
        heads = _heads(database, [key for key, _ in wanted])
        places = [(key, within(after, 0)) for key, after in wanted if key in heads]
        sql = _ABOVE_POSTGRES if is_postgres(database) else _ABOVE
        found, cut = _messages(
            database, sql, [(_pk(heads[key]), after) for key, after in places], limit
        )
        shown = [
            (key, after, rows, number != cut)
            for number, ((key, after), rows) in enumerate(zip(places, found, strict=True))
            if cut is None or number < cut or (number == cut and rows)
        ]
        backlogs = _backlogs(database, heads, shown)
    return backlogs | {key: Backlog([], 0, True) for key, _ in wanted if key not in heads}


def newest_many(database: Database, wanted: Sequence[str]) -> dict[str, tuple[int, Backlog]]:
    """`newest` with one message each for several conversations, by their keys, as of one moment.
    Those at the end that no longer fit, since messages are long, are left out."""
    with snapshot(database):
        heads = _heads(database, wanted)
        keys = [key for key in wanted if key in heads]
        found, cut = _messages(
            database, _AT, [(_pk(heads[key]), _last_seq(heads[key])) for key in keys], len(keys)
        )
        shown = [
            (key, _begun(heads[key]), rows, True)
            for key, rows in zip(keys[:cut], found[:cut], strict=True)
        ]
        backlogs = _backlogs(database, heads, shown)
    return {key: (_begun(heads[key]), backlog) for key, backlog in backlogs.items()} | {
        key: (0, Backlog([], 0, True)) for key in wanted if key not in heads
    }


def distances(database: Database, wanted: Sequence[tuple[str, int]], most: int) -> dict[str, int]:
    """`distance` for several conversations `(conversation_key, after)`, by their keys."""
    rows = fetch_many(
        database,
        "WITH w (key, place) AS (VALUES {values}) SELECT w.key,"
        " (SELECT count(*) FROM (SELECT 1 FROM messages AS m WHERE m.conversation ="
        " (SELECT c.pk FROM conversations AS c WHERE c.key = w.key)"
        f" AND m.change_seq > w.place LIMIT {most:d}) AS found) FROM w",
        [(key, within(after, 0)) for key, after in wanted],
    )
    return dict(rows)


def _heads(database: Database, keys: Iterable[str]) -> dict[str, Row]:
    """`(meta_seq, *query_heads.PUBLIC)` by the keys of those that are there."""
    rows = fetch_many(
        database,
        f"SELECT c.meta_seq, {query_heads.PUBLIC} FROM conversations AS c"
        " WHERE c.key IN ({values})",
        list(keys),
    )
    return {row[2]: row for row in rows}


def _pk(head: Row) -> int:
    return int(head[1])


def _last_seq(head: Row) -> int:
    return int(head[9])


def _change_seq(head: Row) -> int:
    return int(head[10])


def _begun(head: Row) -> int:
    """What the newest message is above; where there is none, the conversation's own change."""
    return (_last_seq(head) or int(head[0])) - 1


def _messages(
    database: Database, sql: str, places: list[tuple[int, int]], limit: int
) -> tuple[list[list[Row]], int | None]:
    """The messages that `sql` finds for each place `(pk, number)`, at most `limit`, as many as fit
    on a page, and the index of the first place of which some are missing."""
    found: list[list[Row]] = [[] for _ in places]
    if not places:
        return found, None
    # Lengths first: what is over the bound never leaves the database.
    sizes = fetch(
        database,
        sql.format(
            w=placeholders(len(places), 3), size=text_bytes(database, "m"), limit=f"{limit + 1:d}"
        ),
        [value for number, place in enumerate(places) for value in (number, *place)],
    )
    count = fitting(size for _, _, size in sizes[:limit])
    taken = {pk: number for number, pk, _ in sizes[:count]}
    if taken:
        rows = fetch(
            database,
            f"SELECT m.pk, {shapes.of('m')} FROM messages AS m WHERE m.pk IN ({marks(len(taken))})",
            list(taken),
        )
        by_pk = {row[0]: row[1:] for row in rows}
        for pk, number in taken.items():
            found[number].append(by_pk[pk])
    return found, sizes[count][0] if len(sizes) > count else None


def _backlogs(
    database: Database, heads: dict[str, Row], shown: list[tuple[str, int, list[Row], bool]]
) -> dict[str, Backlog]:
    """Of conversations `(key, after, messages, whole)` their events, with their own changes."""
    found: dict[str, list[Event]] = {}
    changed = []
    for key, after, rows, whole in shown:
        events = found[key] = message_events(key, rows, after)
        if changed_within(heads[key][0], events, after, whole):
            changed.append(key)
    public = query_heads.public_many(database, [heads[key][1:] for key in changed])
    for key in changed:
        add_change(found[key], heads[key][0], public[key])
    return {key: Backlog(found[key], _change_seq(heads[key]), whole) for key, _, _, whole in shown}
