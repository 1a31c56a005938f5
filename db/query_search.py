"""Finding messages: in the conversations that somebody is in, and in his inbox, the newest first.

The index says which messages have the words, and the messages themselves then have the last word:
whether the terms stand in them as they should, and whether they may still be seen.
"""

import time
from typing import Any

import msgspec
from peewee import Database

from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.ids import id_of, tenant_of
from anmei.search_terms import Span, Terms, snippet
from db import shapes
from db.cursors import from_cursor, to_cursor
from db.link import Row, fetch, is_postgres, marks
from db.query_people import visible
from db.search_index import kind_mark, place_mark, searchable, sender_mark, up_to_date
from db.time_limit import within

#: A result shows no more characters of its message.
MAX_CONTENT = 2_048
#: Messages that are compared for one page, at most; a page may so be short, and go on behind.
MAX_LOOKED_AT = 1_000
#: Of so few conversations a search in SQLite looks at no other's messages.
FEW_PLACES = 64

_LAST = 2**63 - 1
_MESSAGE = f"m.pk, c.key, m.sender_key, m.body, m.recalled_at, {shapes.COPY_COLUMNS}"
_FIELDS = [column.strip().partition(".")[2] for column in shapes.COPY_COLUMNS.split(",")]
_MESSAGE_FIELDS = len(shapes.of("m").split(","))


class Wanted(msgspec.Struct, frozen=True):
    """What is looked for. Keys and times as in the store; `after` and `before` are exclusive."""

    terms: Terms
    sender_key: str | None = None
    conversation_key: str | None = None
    kind: str | None = None
    tag: str | None = None
    after: int | None = None
    before: int | None = None


def search(
    database: Database,
    user_key: str,
    wanted: Wanted,
    cursor: str | None,
    limit: int,
    timeout_ms: int,
) -> dict[str, Any]:
    """`{"results": [{"message", "snippet"}…], "next_cursor", "up_to_date"}` of what the user may
    read, the newest first.

    Raises AnmeiError: BAD_REQUEST for a cursor that is none, NOT_FOUND for a conversation that the
    user is not in, TIMEOUT where it takes longer than `timeout_ms`.
    """
    below = _LAST if cursor is None else int(from_cursor(cursor, tuple[int])[0])
    until = time.monotonic() + timeout_ms / 1000
    results: list[dict[str, Any]] = []
    looked_at = 0
    more, late = True, False
    place: int | None = None
    with within(database, timeout_ms, "the search"):
        complete = up_to_date(database)
        if wanted.conversation_key is not None:
            place = visible(database, user_key, wanted.conversation_key)
        found = _Finder(database, user_key, wanted, place)
        absent = wanted.conversation_key is not None and place is None
        while more and not (absent or late) and len(results) < limit and looked_at < MAX_LOOKED_AT:
            step = max(limit - len(results), 20)
            pks = found.below(below, step)
            more = len(pks) == step
            looked_at += len(pks)
            for message in _messages(database, user_key, pks):
                below = message.pk
                spans = message.compare(wanted)
                if spans is not None:
                    results.append(message.result(spans))
                late = time.monotonic() > until
                if late or len(results) == limit:
                    more = more or below != pks[-1]
                    break
    if absent:
        raise not_found("conversation")
    if late and not results:
        raise AnmeiError(ErrorCode.TIMEOUT, f"the search took longer than {timeout_ms} ms")
    return {
        "results": results,
        "next_cursor": to_cursor(below) if more else None,
        "up_to_date": complete,
    }


def visible_message(database: Database, user_key: str, message_id: str) -> int | None:
    """The primary key of a message that this user may read, in a conversation or in the inbox."""
    rows = fetch(
        database,
        "SELECT m.pk FROM messages AS m WHERE m.id = %s AND ("
        "EXISTS (SELECT 1 FROM participants AS p WHERE p.conversation = m.conversation"
        " AND p.user_key = %s AND p.active = TRUE)"
        " OR EXISTS (SELECT 1 FROM message_recipients AS r WHERE r.message = m.pk"
        " AND r.recipient_key = %s AND r.removed_at IS NULL))",
        (message_id, user_key, user_key),
    )
    return int(rows[0][0]) if rows else None


def found_messages(database: Database, user_key: str, pks: list[int]) -> list[dict[str, Any]]:
    """The messages of these primary keys, the newest first, long ones cut."""
    return [message.shown() for message in _messages(database, user_key, pks)]


class _Finder:
    """The candidates of one search, by their primary keys, the newest first."""

    def __init__(
        self, database: Database, user_key: str, wanted: Wanted, place: int | None
    ) -> None:
        self._database = database
        self._wanted = wanted
        self._postgres = is_postgres(database)
        words = list(wanted.terms.words)
        if wanted.sender_key is not None:
            words.append(sender_mark(wanted.sender_key))
        if wanted.kind is not None:
            words.append(kind_mark(wanted.kind))
        tenant = tenant_of(user_key)
        inside = (
            " CROSS JOIN participants AS p",
            " AND p.conversation = s.place AND p.user_key = %s AND p.active = TRUE",
            [user_key],
        )
        self._parts = [self._query(words, place, self._places(user_key, tenant, place), inside)]
        if place is None:
            mine = (
                " CROSS JOIN message_recipients AS r",
                " AND r.message = s.message AND r.recipient_key = %s AND r.removed_at IS NULL",
                [user_key],
            )
            self._parts.append(self._query(words, 0, [place_mark(0, tenant)], mine))

    def below(self, pk: int, limit: int) -> list[int]:
        """At most `limit` of them with primary keys below `pk`."""
        found: set[int] = set()
        for sql, values in self._parts:
            found.update(row[0] for row in fetch(self._database, sql, (*values, pk, limit)))
        return sorted(found, reverse=True)[:limit]

    def _places(self, user_key: str, tenant: str, place: int | None) -> list[str]:
        """The marks of the user's conversations, none where they are many."""
        if self._postgres:
            return []
        if place is not None:
            return [place_mark(place, tenant)]
        rows = fetch(
            self._database,
            "SELECT conversation FROM participants WHERE user_key = %s AND active = TRUE LIMIT %s",
            (user_key, FEW_PLACES + 1),
        )
        return [place_mark(pk, tenant) for (pk,) in rows] if len(rows) <= FEW_PLACES else []

    def _query(
        self,
        words: list[str],
        place: int | None,
        places: list[str],
        mine: tuple[str, str, list[str]],
    ) -> tuple[str, list[Any]]:
        wanted = self._wanted
        join, condition, owner = mine
        values: list[Any] = []
        where = ""
        if self._postgres:
            source, newest = "search_index AS s", "s.message"
            if words:
                where += " AND s.words @> %s::text[]"
                values.append(words)
        elif words:
            # The first table is the one that SQLite reads first: it knows no better.
            source, newest = "search_words", "search_words.rowid"
            join = " CROSS JOIN search_index AS s" + join
            where += " AND search_words MATCH %s AND s.message = search_words.rowid"
            match = " AND ".join(map(_quoted, words))
            if places:
                match += f" AND ({' OR '.join(map(_quoted, places))})"
            values.append(match)
        elif wanted.tag is not None:
            source, newest = "message_tags AS t", "t.message"
            join = " CROSS JOIN search_index AS s" + join
        else:
            source, newest = "search_index AS s", "s.message"
        where += condition
        values += owner
        if wanted.tag is not None:
            if not source.startswith("message_tags"):
                join += " CROSS JOIN message_tags AS t"
            where += " AND t.message = s.message AND t.owner_key = %s AND t.tag = %s"
            values += [owner[0], wanted.tag]
        for column, sign, value in (
            ("place", "=", place),
            ("created_at", ">", wanted.after),
            ("created_at", "<", wanted.before),
        ):
            if value is not None:
                where += f" AND s.{column} {sign} %s"
                values.append(value)
        return (
            f"SELECT {newest} FROM {source}{join} WHERE TRUE{where} AND {newest} < %s"
            f" ORDER BY {newest} DESC LIMIT %s",
            values,
        )


def _quoted(word: str) -> str:
    """A word of the index in SQLite's query language; none has a quotation mark."""
    return f'"{word}"'


class _Message:
    """A message that may be what is looked for."""

    def __init__(self, row: Row) -> None:
        self.pk, self._key, self._sender_key, body, self._recalled_at, *self._copy = row
        fields = dict(zip(_FIELDS, self._copy, strict=True))
        self._kind = fields["message_type"]
        self._text = searchable(fields["title"], fields["content"], body)

    def compare(self, wanted: Wanted) -> list[Span] | None:
        """Where the terms stand in it; None where it is not one that is looked for: the index may
        be behind."""
        if (
            self._recalled_at is not None
            or wanted.sender_key not in (None, self._sender_key)
            or wanted.kind not in (None, self._kind)
        ):
            return None
        return wanted.terms.find(self._text)

    def result(self, spans: list[Span]) -> dict[str, Any]:
        return {"message": self.shown(), "snippet": snippet(self._text, spans)}

    def shown(self) -> dict[str, Any]:
        if self._key is None:
            message = shapes.notification(tuple(self._copy))
        else:
            message = shapes.message(tuple(self._copy[:_MESSAGE_FIELDS]), id_of(self._key))
        if len(message["content"]) > MAX_CONTENT:
            message["content"] = message["content"][:MAX_CONTENT]
            message["content_truncated"] = True
        return message


def _messages(database: Database, user_key: str, pks: list[int]) -> list[_Message]:
    if not pks:
        return []
    rows = fetch(
        database,
        f"SELECT {_MESSAGE} FROM messages AS m LEFT JOIN conversations AS c"
        " ON c.pk = m.conversation LEFT JOIN message_recipients AS r ON r.message = m.pk"
        f" AND r.recipient_key = %s WHERE m.pk IN ({marks(len(pks))}) ORDER BY m.pk DESC",
        (user_key, *pks),
    )
    return [_Message(row) for row in rows]
