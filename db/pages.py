"""Pages of rows whose texts may be long: bounded by what they take, not by their number alone."""

from collections.abc import Iterable
from typing import Any, Literal

from peewee import Database

from db.link import Row, fetch, is_postgres

#: A page ends at the message with which its texts take more bytes than this.
MAX_PAGE_BYTES = 262_144

_TEXTS = ("content", "extra_metadata", "body", "link_preview")


def byte_length(database: Database, text: str) -> str:
    """What a text takes in UTF-8, as an expression of the query it stands in."""
    return f"octet_length({text})" if is_postgres(database) else f"length(CAST({text} AS BLOB))"


def text_bytes(database: Database, table: str = "messages") -> str:
    """The same of all texts of a message."""
    return " + ".join(byte_length(database, f"coalesce({table}.{text}, '')") for text in _TEXTS)


def fitting(sizes: Iterable[int]) -> int:
    """How many rows whose texts take so much fit on a page: one at least, if there are any."""
    room, count = MAX_PAGE_BYTES, 0
    for size in sizes:
        room -= size
        if count and room < 0:
            break
        count += 1
    return count


def fetch_page(
    database: Database,
    columns: str,
    source: str,
    values: tuple[Any, ...],
    order: str,
    limit: int,
    direction: Literal["ASC", "DESC"] = "ASC",
) -> tuple[list[Row], bool]:
    """The first rows of `source` by `order`, at most `limit`, and whether those are all of them.

    The table whose texts count is named `m` in `source`, which begins behind FROM. What is over the
    bound never leaves the database.
    """
    rows = fetch(
        database,
        "SELECT * FROM (SELECT found.*, sum(found.text_bytes) OVER"
        f" (ORDER BY found.place {direction} ROWS UNBOUNDED PRECEDING) AS bytes_so_far FROM"
        f" (SELECT {columns}, {text_bytes(database, 'm')} AS text_bytes, {order} AS place"
        f" FROM {source} ORDER BY {order} {direction} LIMIT %s) AS found) AS page"
        f" WHERE bytes_so_far - text_bytes < %s ORDER BY place {direction}",
        (*values, limit, MAX_PAGE_BYTES),
    )
    whole = len(rows) < limit and (not rows or rows[-1][-1] < MAX_PAGE_BYTES)
    return [row[:-3] for row in rows], whole
