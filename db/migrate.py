"""Bring the tables of a database up to date, one process at a time."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from playhouse.migrations import Runner

from db.errors import StoreUnavailable
from db.link import Link, execute, sqlite_path

DIRECTORY = os.path.join(os.path.dirname(__file__), "migrations")

#: The number of the PostgreSQL advisory lock: "anmei" in ASCII.
_LOCK = 0x616E6D6569


def migrate(url: str) -> list[str]:
    """Apply what is missing, and name it. Of processes that start at once one does the work and
    the others wait for it."""
    logging.getLogger("peewee.migrations").setLevel(logging.WARNING)  # the store names them
    path = sqlite_path(url)
    with _only_one(path):
        # No time limit, since a migration may have much to do; no foreign keys, since SQLite
        # changes a table by copying it and dropping the old one.
        link = Link(url, 0, foreign_keys=False)
        try:
            try:
                database = link.database
            except Exception as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise StoreUnavailable(reason) from None
            if path is None:
                execute(database, "SELECT pg_advisory_lock(%s)", (_LOCK,))
            applied: list[str] = Runner(database, DIRECTORY).up()
        finally:
            # The advisory lock goes with the connection.
            link.drop()
    return applied


@contextmanager
def _only_one(path: str | None) -> Iterator[None]:
    """Hold a lock on the folder of a SQLite file. Not on the file: closing any handle of it would
    drop the locks that SQLite holds for this process. And not SQLite's own: switching to the
    write-ahead log does not wait for them."""
    if path is None:
        yield
        return
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
