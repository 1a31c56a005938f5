"""Reading that may take long, as of one moment and within a time."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peewee import Database, OperationalError

from anmei.errors import AnmeiError, ErrorCode
from db.link import execute, is_postgres

#: SQLite's instructions between two looks at the clock: some tenths of a millisecond.
_STEPS = 20_000
_QUERY_CANCELED = "57014"


@contextmanager
def within(database: Database, timeout_ms: int, what: str) -> Iterator[None]:
    """What is read inside was all true at the same time. Raises AnmeiError (TIMEOUT) where a
    statement takes longer than `timeout_ms`; the connection stays good."""
    postgres = is_postgres(database)
    execute(database, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if postgres else "BEGIN")
    raw: Any = database
    if postgres:
        execute(database, f"SET LOCAL statement_timeout = {timeout_ms}")
    else:
        until = time.monotonic() + timeout_ms / 1000
        raw.connection().set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    late = False
    try:
        yield
    except AnmeiError:
        execute(database, "ROLLBACK")
        raise
    except OperationalError as error:
        late = _took_too_long(error)
        if not late:
            raise
    finally:
        if not postgres:
            raw.connection().set_progress_handler(None, 0)
    execute(database, "ROLLBACK" if late else "COMMIT")
    if late:
        raise AnmeiError(ErrorCode.TIMEOUT, f"{what} took longer than {timeout_ms} ms")


def _took_too_long(error: OperationalError) -> bool:
    cause: Any = getattr(error, "orig", None)
    return (
        getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
        or getattr(cause, "pgcode", None) == _QUERY_CANCELED
    )
