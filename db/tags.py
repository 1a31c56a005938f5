"""What a user sorts his messages and conversations by: tags, and one category a conversation.

Nobody else sees them. Whoever may not see a thing any more does not find it by its tag either, and
finds it again when he may. Every function that takes an id answers None for what is not there or
not for this user.
"""

from typing import Any, Literal

from peewee import Database

from anmei.clock import to_wire
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import id_of
from db.cursors import from_cursor, to_cursor
from db.link import Row, execute, fetch
from db.query_people import visible
from db.query_search import found_messages, visible_message

MAX_TAGS = 20  # of one user on one thing
MAX_TAGGED = 10_000  # tags of one user on messages, and as many on conversations
MAX_CATEGORIES = 200  # of one user

_LAST = 2**63 - 1

Kind = Literal["message", "conversation"]

#: That the owner of the tag `t` may see the thing that it is on.
_SEEN: dict[Kind, str] = {
    "message": (
        "EXISTS (SELECT 1 FROM messages AS m WHERE m.pk = t.message AND ("
        "EXISTS (SELECT 1 FROM participants AS p WHERE p.conversation = m.conversation"
        " AND p.user_key = t.owner_key AND p.active = TRUE) OR "
        "EXISTS (SELECT 1 FROM message_recipients AS r WHERE r.message = m.pk"
        " AND r.recipient_key = t.owner_key AND r.removed_at IS NULL)))"
    ),
    "conversation": (
        "EXISTS (SELECT 1 FROM participants AS p WHERE p.conversation = t.conversation"
        " AND p.user_key = t.owner_key AND p.active = TRUE)"
    ),
}


def tags_of(database: Database, kind: Kind, user_key: str, id: str) -> list[str] | None:
    """The user's tags on one thing: a message by its id, a conversation by its key."""
    pk = _find(database, kind, user_key, id)
    return None if pk is None else _tags(database, kind, user_key, pk)


def set_tag(
    database: Database, kind: Kind, user_key: str, id: str, tag: str, on: bool, at: int
) -> list[str] | None:
    """Put a tag on a thing, or take it away; the tags it has now. Raises AnmeiError (TOO_LARGE)."""
    pk = _find(database, kind, user_key, id)
    if pk is None:
        return None
    table = f"{kind}_tags"
    tags = _tags(database, kind, user_key, pk)
    if not on:
        execute(
            database,
            f"DELETE FROM {table} WHERE owner_key = %s AND tag = %s AND {kind} = %s",
            (user_key, tag, pk),
        )
        return [each for each in tags if each != tag]
    if tag in tags:
        return tags
    if len(tags) >= MAX_TAGS:
        raise _too_many(f"{MAX_TAGS} tags on one {kind}")
    sql = f"SELECT count(*) FROM {table} AS t WHERE t.owner_key = %s"
    # What he sees no more, and so cannot untag, is left out only where it matters: that takes long.
    for seen in ("", f" AND {_SEEN[kind]}"):
        if fetch(database, sql + seen, (user_key,))[0][0] < MAX_TAGGED:
            break
    else:
        raise _too_many(f"{MAX_TAGGED} tags of one user on {kind}s")
    execute(
        database,
        f"INSERT INTO {table} (owner_key, tag, {kind}, tagged_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (user_key, tag, pk, at),
    )
    return sorted([*tags, tag])


def tags(
    database: Database, user_key: str, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the user's tags in order, with how many things have each, and the next cursor."""
    after = "" if cursor is None else str(from_cursor(cursor, tuple[str])[0])
    counts = {"message": "1 AS messages, 0 AS conversations", "conversation": "0, 1"}
    parts = [
        f"SELECT t.tag, {counts[kind]} FROM {kind}_tags AS t"
        f" WHERE t.owner_key = %s AND t.tag > %s AND {seen}"
        for kind, seen in _SEEN.items()
    ]
    rows = fetch(
        database,
        f"SELECT tag, sum(messages), sum(conversations) FROM ({' UNION ALL '.join(parts)}) AS t"
        " GROUP BY tag ORDER BY tag LIMIT %s",
        (user_key, after, user_key, after, limit + 1),
    )
    page = [
        {"tag": tag, "messages": int(messages), "conversations": int(conversations)}
        for tag, messages, conversations in rows[:limit]
    ]
    return page, to_cursor(rows[limit - 1][0]) if len(rows) > limit else None


def tagged_messages(
    database: Database, user_key: str, tag: str, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the messages with this tag, the newest first."""
    rows = fetch(
        database,
        "SELECT t.message FROM message_tags AS t WHERE t.owner_key = %s AND t.tag = %s"
        f" AND t.message < %s AND {_SEEN['message']} ORDER BY t.message DESC LIMIT %s",
        (user_key, tag, _below(cursor), limit + 1),
    )
    return found_messages(database, user_key, [pk for (pk,) in rows[:limit]]), _next(rows, limit)


def tagged_conversations(
    database: Database, user_key: str, tag: str, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the conversations with this tag, those made last first."""
    return _conversations(
        database, "conversation_tags", "tag", user_key, tag, _below(cursor), limit
    )


def set_category(
    database: Database, user_key: str, conversation_key: str, category: str | None
) -> bool | None:
    """Put a conversation into a category and out of any other, or (None) out of all."""
    pk = visible(database, user_key, conversation_key)
    if pk is None:
        return None
    if category is None:
        execute(
            database,
            "DELETE FROM conversation_categories WHERE owner_key = %s AND conversation = %s",
            (user_key, pk),
        )
        return True
    known = {row[0] for row in _categories(database, user_key) if row[1]}
    if category not in known and len(known) >= MAX_CATEGORIES:
        raise _too_many(f"{MAX_CATEGORIES} categories of one user")
    execute(
        database,
        "INSERT INTO conversation_categories (owner_key, conversation, category)"
        " VALUES (%s, %s, %s) ON CONFLICT (owner_key, conversation)"
        " DO UPDATE SET category = excluded.category",
        (user_key, pk, category),
    )
    return True


def category_of(database: Database, user_key: str, conversation_key: str) -> str | None:
    """The category of a conversation, where it is in one."""
    rows = fetch(
        database,
        "SELECT t.category FROM conversation_categories AS t"
        " JOIN conversations AS c ON c.pk = t.conversation WHERE t.owner_key = %s AND c.key = %s",
        (user_key, conversation_key),
    )
    return str(rows[0][0]) if rows else None


def categories(database: Database, user_key: str) -> list[dict[str, Any]]:
    """The user's categories in order, with how many conversations are in each."""
    return [
        {"category": category, "conversations": count}
        for category, count in _categories(database, user_key)
        if count
    ]


def categorised(
    database: Database, user_key: str, category: str, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the conversations in a category, those made last first."""
    return _conversations(
        database,
        "conversation_categories",
        "category",
        user_key,
        category,
        _below(cursor),
        limit,
    )


def _find(database: Database, kind: Kind, user_key: str, id: str) -> int | None:
    find = visible_message if kind == "message" else visible
    return find(database, user_key, id)


def _tags(database: Database, kind: Kind, user_key: str, pk: int) -> list[str]:
    rows = fetch(
        database,
        f"SELECT tag FROM {kind}_tags WHERE owner_key = %s AND {kind} = %s ORDER BY tag",
        (user_key, pk),
    )
    return [tag for (tag,) in rows]


def _categories(database: Database, user_key: str) -> list[Row]:
    """`(category, conversations that the user may see)`."""
    return fetch(
        database,
        f"SELECT t.category, sum(CASE WHEN {_SEEN['conversation']} THEN 1 ELSE 0 END)"
        " FROM conversation_categories AS t WHERE t.owner_key = %s"
        " GROUP BY t.category ORDER BY t.category",
        (user_key,),
    )


def _conversations(
    database: Database, table: str, column: str, user_key: str, value: str, below: int, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    rows = fetch(
        database,
        "SELECT c.pk, c.key, c.kind, c.title, c.updated_at"
        f" FROM {table} AS t CROSS JOIN conversations AS c WHERE c.pk = t.conversation"
        f" AND t.owner_key = %s AND t.{column} = %s AND t.conversation < %s"
        f" AND {_SEEN['conversation']} ORDER BY t.conversation DESC LIMIT %s",
        (user_key, value, below, limit + 1),
    )
    page = [
        {
            "conversation_id": id_of(key),
            "kind": kind,
            "title": title,
            "updated_at": to_wire(updated_at),
        }
        for _, key, kind, title, updated_at in rows[:limit]
    ]
    return page, _next(rows, limit)


def _below(cursor: str | None) -> int:
    return _LAST if cursor is None else int(from_cursor(cursor, tuple[int])[0])


def _next(rows: list[Row], limit: int) -> str | None:
    return to_cursor(rows[limit - 1][0]) if len(rows) > limit else None


def _too_many(what: str) -> AnmeiError:
    return AnmeiError(ErrorCode.TOO_LARGE, f"at most {what} are allowed")
