"""Files, and the messages that carry them."""

from peewee import Database
from playhouse.migrate import SchemaMigrator

from db.link import execute, is_postgres


def up(migrator: SchemaMigrator, database: Database) -> None:
    postgres = is_postgres(database)
    key = 'TEXT COLLATE "C"' if postgres else "TEXT"
    number = "BIGSERIAL" if postgres else "INTEGER"
    execute(
        database,
        f"CREATE TABLE attachments (pk {number} NOT NULL PRIMARY KEY, id {key} NOT NULL UNIQUE,"
        f" tenant {key} NOT NULL, owner_key {key} NOT NULL, state {key} NOT NULL,"
        " size BIGINT NOT NULL, received BIGINT NOT NULL, name TEXT NOT NULL,"
        " content_type TEXT NOT NULL, safe BOOLEAN NOT NULL, metadata TEXT, sha256 TEXT,"
        " place TEXT NOT NULL, lease TEXT, lease_until BIGINT NOT NULL,"
        " created_at BIGINT NOT NULL, expires_at BIGINT)",
    )
    execute(database, "CREATE INDEX attachments_owner ON attachments (owner_key, state, size)")
    execute(database, "CREATE INDEX attachments_expiry ON attachments (state, expires_at)")
    execute(
        database,
        "CREATE TABLE attachment_links (message BIGINT NOT NULL REFERENCES messages (pk),"
        " attachment BIGINT NOT NULL REFERENCES attachments (pk),"
        " PRIMARY KEY (message, attachment))",
    )
    execute(database, "CREATE INDEX attachment_links_attachment ON attachment_links (attachment)")


def down(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, "DROP TABLE attachment_links")
    execute(database, "DROP TABLE attachments")
