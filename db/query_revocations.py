"""Revocations, as every node follows them and as admins list them."""

from peewee import Database

from anmei.revocation import Revocation
from db.cursors import from_cursor, to_cursor
from db.link import fetch

_COLUMNS = "pk, subject, before, created_at, expires_at"


def revocations_since(database: Database, number: int, limit: int) -> list[Revocation]:
    """The next ones after `number`, in the order of their commits: none with a lower number comes
    later, since numbers are given under a lock that lasts until the commit."""
    rows = fetch(
        database,
        f"SELECT {_COLUMNS} FROM revocations WHERE pk > %s ORDER BY pk LIMIT %s",
        (number, limit),
    )
    return [Revocation(*row) for row in rows]


def revocations(
    database: Database, tenant: str, now: int, cursor: str | None, limit: int
) -> tuple[list[Revocation], str | None]:
    """A page of those of a tenant that are in force, the newest first, and the cursor of the next
    page. Raises AnmeiError(BAD_REQUEST) for a cursor that is none."""
    last: int | str = 2**63 - 1
    if cursor is not None:
        (last,) = from_cursor(cursor, tuple[int])
    rows = fetch(
        database,
        f"SELECT {_COLUMNS} FROM revocations WHERE tenant = %s AND pk < %s AND expires_at > %s"
        " ORDER BY pk DESC LIMIT %s",
        (tenant, last, now, limit + 1),
    )
    page = [Revocation(*row) for row in rows[:limit]]
    return page, to_cursor(page[-1].number) if len(rows) > limit > 0 else None
