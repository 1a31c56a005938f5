"""Everything that a database says, wherever it says it."""

from collections.abc import Iterator

from peewee import Database

from db.link import fetch, is_postgres


def columns(database: Database) -> Iterator[tuple[str, str]]:
    """Every column of every table that is ours: `(table, column)`."""
    if is_postgres(database):
        yield from fetch(
            database,
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public'",
        )
    else:
        for (table,) in fetch(database, "SELECT name FROM sqlite_master WHERE type = 'table'"):
            for row in fetch(database, f'PRAGMA table_info("{table}")'):
                yield table, row[1]


def holding(database: Database, text: str) -> set[tuple[str, str]]:
    """The columns in which `text` stands in any row, whatever their type."""
    return {
        (table, column)
        for table, column in columns(database)
        if fetch(
            database,
            f'SELECT 1 FROM "{table}" WHERE CAST("{column}" AS TEXT) LIKE %s LIMIT 1',
            (f"%{text}%",),
        )
    }
