"""What a recalled message leaves behind: nothing of what it said."""

from peewee import Database

from anmei.clock import now_ms
from db import search_index
from db.link import execute, marks
from db.write_attachments import unlink

#: The columns of a message that say something, and what they hold once it is recalled. Who sent it
#: and when, its numbers and its ids stay: they keep its place.
_EMPTY = {
    "content": "''",
    "title": "NULL",
    "extra_metadata": "NULL",
    "body": "NULL",
    "link_preview": "NULL",
    "mentions": "NULL",
    "forwarded_from": "NULL",
    "reactions": "NULL",
    "pinned_at": "NULL",
    "pinned_by": "NULL",
}

_SETS = ", ".join(f"{column} = {empty}" for column, empty in _EMPTY.items())


def scrub(database: Database, pks: list[int]) -> None:
    """Remove what the messages of these primary keys said, wherever it is kept; inside the
    transaction that recalls them."""
    if not pks:
        return
    execute(database, f"UPDATE messages SET {_SETS} WHERE pk IN ({marks(len(pks))})", pks)
    execute(database, f"DELETE FROM reactions WHERE message IN ({marks(len(pks))})", pks)
    unlink(database, pks, now_ms())
    search_index.forget(database, pks)
