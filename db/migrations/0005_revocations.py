"""Tokens that were revoked before they expired."""

from peewee import Database
from playhouse.migrate import SchemaMigrator

from db.link import execute, is_postgres


def up(migrator: SchemaMigrator, database: Database) -> None:
    postgres = is_postgres(database)
    # A number that was given is never given again, or a node that has seen it would not look.
    pk = "BIGSERIAL PRIMARY KEY" if postgres else "INTEGER PRIMARY KEY AUTOINCREMENT"
    key = 'TEXT COLLATE "C"' if postgres else "TEXT"
    execute(
        database,
        f"CREATE TABLE revocations (pk {pk}, tenant {key} NOT NULL, subject {key} NOT NULL,"
        " before BIGINT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL)",
    )
    execute(database, "CREATE UNIQUE INDEX revocations_subject ON revocations (subject)")
    execute(database, "CREATE INDEX revocations_tenant ON revocations (tenant, pk)")
    execute(database, "CREATE INDEX revocations_expires_at ON revocations (expires_at)")


def down(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, "DROP TABLE revocations")
