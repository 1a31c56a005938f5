"""One thread's connection to the database, and the few ways in which the two databases differ."""

import os
import sqlite3
from functools import lru_cache
from typing import Any

import peewee
import psycopg2.extensions
from peewee import (
    Database,
    DatabaseError,
    InterfaceError,
    OperationalError,
    PostgresqlDatabase,
    SqliteDatabase,
)

Row = tuple[Any, ...]

#: Wraps the drivers' errors in peewee's own; its stubs leave it out, as they leave out the types
#: of much that `_raw` is for.
_as_peewee_error: Any = vars(peewee)["__exception_wrapper__"]

#: SQLite takes at most 32,766 values in one statement.
MAX_VALUES = 30_000

#: Longer texts of statements are made anew each time: thousands of them would take megabytes, and
#: what they ask for takes longer than making them.
_SHORT = 4_096

#: Rows of one statement where there may be tens of thousands of them.
MAX_ROWS = 1_000


class Link:
    """A connection for one thread, opened when it is first asked for.

    `url` is `sqlite:///path` or `postgresql://…` (anything libpq understands, for example
    `postgresql://anmei@/anmei?host=/run/postgresql`). No statement and no lock takes longer than
    `timeout_ms`; 0 is no limit.
    """

    def __init__(self, url: str, timeout_ms: int, *, foreign_keys: bool = True) -> None:
        self._timeout_ms = timeout_ms
        self._database = _make(url, timeout_ms, foreign_keys)

    @property
    def database(self) -> Database:
        """The connected database. Raises OperationalError when it cannot be reached."""
        database = self._database
        if database.is_closed():
            database.connect()
            if is_postgres(database):
                # Set here, not among the connection's options, which poolers refuse. Compiling
                # plans would cost more than any of our queries takes.
                execute(
                    database,
                    f"SET statement_timeout = {self._timeout_ms};"
                    f" SET lock_timeout = {self._timeout_ms};"
                    " SET jit = off;"
                    " SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
                )
        return database

    @property
    def broken(self) -> bool:
        """Whether the driver itself has given the connection up."""
        if not is_postgres(self._database):
            return False
        return self._database.is_closed() or bool(_raw(self._database).connection().closed)

    def drop(self) -> None:
        """Close the connection whatever its state; what was uncommitted is gone."""
        try:
            self._database.close()
        except Exception:
            _raw(self._database)._state.reset()


def is_lost(error: Exception) -> bool:
    """Whether `error` is what a lost, stalled or refusing database raises, and not one that any
    other connection would raise too."""
    if getattr(getattr(error, "orig", None), "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return False  # a mistake in the query; SQLite has no other class for it
    # psycopg2 raises the bare DatabaseError where a connection ends in the middle of an answer.
    return isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError


def _raw(database: Database) -> Any:
    return database


def is_postgres(database: Database) -> bool:
    return isinstance(database, PostgresqlDatabase)


def sqlite_path(url: str) -> str | None:
    """The file of a SQLite URL, None for any other URL. Raises ValueError for one without file."""
    if not url.startswith("sqlite:"):
        return None
    path = url.removeprefix("sqlite:///")
    if path == url or path in ("", ":memory:"):
        raise ValueError(f"expected sqlite:///path/of/a/file, got {url!r}")
    return path


def execute(database: Database, sql: str, values: Any = ()) -> Any:
    """Run `sql`, written with `%s` for each value, and hand out the cursor."""
    if not is_postgres(database):
        sql = _with_question_marks(sql)
    return _raw(database).execute_sql(sql, values)


def fetch(database: Database, sql: str, values: Any = ()) -> list[Row]:
    """All rows of a query written with `%s` for each value."""
    rows: list[Row] = execute(database, sql, values).fetchall()
    return rows


def fetch_many(database: Database, sql: str, rows: list[Any]) -> list[Row]:
    """All rows of a query whose `{values}` stands for `rows`, which are single values or tuples
    of the same length. More than fit into one statement go in several."""
    if not rows:
        return []
    width = len(rows[0]) if isinstance(rows[0], tuple) else 1
    size = MAX_VALUES // width
    found: list[Row] = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        if isinstance(part[0], tuple):
            found += fetch(
                database,
                sql.format(values=placeholders(len(part), width)),
                [value for row in part for value in row],
            )
        else:
            found += fetch(database, sql.format(values=marks(len(part))), part)
    return found


def insert_many(database: Database, sql: str, rows: list[Row]) -> None:
    """`INSERT INTO … VALUES {values} …` for all rows: one statement on PostgreSQL, where the round
    trip is what costs; one prepared statement run for each row on SQLite, where parsing is."""
    if not rows:
        return
    width = len(rows[0])
    if is_postgres(database):
        execute(
            database,
            sql.format(values=placeholders(len(rows), width)),
            [value for row in rows for value in row],
        )
    else:
        with _as_peewee_error:
            _raw(database).cursor().executemany(
                _with_question_marks(sql.format(values=placeholders(1, width))), rows
            )


def insert_pages(database: Database, sql: str, rows: list[Row]) -> None:
    """The same for very many rows: one statement for each `MAX_ROWS` of them."""
    for start in range(0, len(rows), MAX_ROWS):
        part = rows[start : start + MAX_ROWS]
        values = placeholders(len(part), len(part[0]))
        execute(database, sql.format(values=values), [value for row in part for value in row])


def update_many(
    database: Database, table: str, keys: tuple[str, ...], columns: tuple[str, ...], rows: list[Row]
) -> None:
    """Set `columns` of the rows of `table` found by `keys`; each row is columns, then keys."""
    if not rows:
        return
    if is_postgres(database):
        execute(
            database,
            _update_from(table, keys, columns).format(
                values=placeholders(len(rows), len(columns) + len(keys))
            ),
            [value for row in rows for value in row],
        )
    else:
        sets = ", ".join(f"{column} = ?" for column in columns)
        where = " AND ".join(f"{key} = ?" for key in keys)
        with _as_peewee_error:
            _raw(database).cursor().executemany(f"UPDATE {table} SET {sets} WHERE {where}", rows)


def marks(count: int) -> str:
    """`%s,%s,…` for `IN (…)`."""
    return ",".join(["%s"] * count)


def placeholders(count: int, width: int) -> str:
    """`(%s,%s),(%s,%s),…`: `count` rows of `width` values."""
    short = count * (3 * width + 2) <= _SHORT
    return _placeholders(count, width) if short else _placeholders.__wrapped__(count, width)


@lru_cache(maxsize=4096)
def _placeholders(count: int, width: int) -> str:
    return ",".join([f"({marks(width)})"] * count)


def _with_question_marks(sql: str) -> str:
    return _question_marks(sql) if len(sql) <= _SHORT else sql.replace("%s", "?")


@lru_cache(maxsize=4096)
def _question_marks(sql: str) -> str:
    return sql.replace("%s", "?")


@lru_cache(maxsize=64)
def _update_from(table: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> str:
    sets = ", ".join(f"{column} = new.{column}" for column in columns)
    where = " AND ".join(f"{table}.{key} = new.{key}" for key in keys)
    names = ", ".join((*columns, *keys))
    return f"UPDATE {table} SET {sets} FROM (VALUES {{values}}) AS new ({names}) WHERE {where}"


def _make(url: str, timeout_ms: int, foreign_keys: bool) -> Database:
    path = sqlite_path(url)
    if path is not None:
        return SqliteDatabase(
            os.path.abspath(path),
            timeout=timeout_ms / 1000 if timeout_ms else 3600,
            autoconnect=False,
            pragmas={
                "journal_mode": "wal",
                "synchronous": "full",
                "foreign_keys": int(foreign_keys),
                # What a recalled message said is overwritten, not only forgotten.
                "secure_delete": 1,
            },
        )
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError(
            f"expected sqlite:///path or postgresql://…, got {url.partition(':')[0]!r}:…"
        )
    seconds = max(2, timeout_ms // 1000)
    options: dict[str, Any] = {
        "connect_timeout": seconds,
        "application_name": "anmei",
        "client_encoding": "UTF8",
        # A link that is cut without a word is noticed within about 10 s, whether we wait for
        # an answer or have bytes on the way.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    # The one spelling that peewee knows for a URL.
    url = "postgresql://" + url.partition("://")[2]
    given = psycopg2.extensions.parse_dsn(url)
    return PostgresqlDatabase(
        url,
        autoconnect=False,
        **{name: value for name, value in options.items() if name not in given},
    )
