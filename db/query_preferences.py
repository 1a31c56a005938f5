"""What a user has set for conversations, in the order in which it was changed."""

from typing import Any

from peewee import Database

from db import shapes
from db.link import fetch, fetch_many

_COLUMNS = "c.key, f.seq, f.muted_until, f.pinned_at, f.draft, f.draft_at"
_ANYTHING = " AND (f.muted_until IS NOT NULL OR f.pinned_at IS NOT NULL OR f.draft IS NOT NULL)"


def preferences(database: Database, user_key: str, after: int, limit: int) -> list[dict[str, Any]]:
    """The first `limit` that were changed above the number `after`, ascending. From the beginning
    (0) only those in which anything is set."""
    rows = fetch(
        database,
        f"SELECT {_COLUMNS} FROM preferences AS f JOIN conversations AS c ON c.pk = f.conversation"
        f" WHERE f.user_key = %s AND f.seq > %s{_ANYTHING if after <= 0 else ''}"
        " ORDER BY f.seq LIMIT %s",
        (user_key, after, limit),
    )
    return [shapes.preference(row[0], row[1], row[2:]) for row in rows]


def preference_seqs(database: Database, user_keys: list[str]) -> dict[str, int]:
    """The last number of each of the users who have set anything."""
    return dict(
        fetch_many(
            database,
            "SELECT user_key, seq FROM preference_seqs WHERE user_key IN ({values})",
            user_keys,
        )
    )
