"""Several reads as of one moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from peewee import Database

from db.link import execute, is_postgres


@contextmanager
def snapshot(database: Database) -> Iterator[None]:
    """What is read inside was all true at the same time."""
    if is_postgres(database):
        execute(database, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    else:
        execute(database, "BEGIN")
    # A failure needs no ROLLBACK here: the connection is dropped behind it. An answer in the
    # form of an exception must therefore be raised outside.
    yield
    execute(database, "COMMIT")
