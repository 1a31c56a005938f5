"""What becomes of a message: mentions, forwards, reactions, pins, and who changed what."""

from peewee import Database
from playhouse.migrate import SchemaMigrator

from db.link import execute, is_postgres

_COLUMNS = {
    "mentions": "TEXT",
    "forwarded_from": "TEXT",
    "reactions": "TEXT",
    "pinned_at": "BIGINT",
    "pinned_by": "TEXT",
}


def up(migrator: SchemaMigrator, database: Database) -> None:
    postgres = is_postgres(database)
    key = 'TEXT COLLATE "C"' if postgres else "TEXT"
    pk = "BIGSERIAL PRIMARY KEY" if postgres else "INTEGER NOT NULL PRIMARY KEY"
    for name, type in _COLUMNS.items():
        execute(database, f"ALTER TABLE messages ADD COLUMN {name} {type}")
    # Partial: a message that is not pinned costs it nothing.
    execute(
        database,
        "CREATE INDEX messages_pinned ON messages (conversation, pinned_at, seq)"
        " WHERE pinned_at IS NOT NULL",
    )
    execute(
        database,
        f"CREATE TABLE reactions (pk {pk},"
        " message BIGINT NOT NULL REFERENCES messages (pk),"
        f" user_key {key} NOT NULL, emoji {key} NOT NULL, created_at BIGINT NOT NULL)",
    )
    execute(
        database,
        "CREATE UNIQUE INDEX reactions_once ON reactions (message, user_key, emoji)",
    )
    execute(database, "CREATE INDEX reactions_listed ON reactions (message, emoji, pk)")
    execute(
        database,
        f"CREATE TABLE audit (pk {pk}, tenant {key} NOT NULL, at BIGINT NOT NULL,"
        f" action {key} NOT NULL, actor_key {key} NOT NULL, agent_key {key},"
        " conversation BIGINT REFERENCES conversations (pk),"
        f" message_id {key}, change_seq BIGINT)",
    )
    execute(database, "CREATE INDEX audit_tenant ON audit (tenant, pk)")
    execute(database, "CREATE INDEX audit_actor ON audit (actor_key, pk)")
    execute(database, "CREATE INDEX audit_conversation ON audit (conversation, pk)")
    execute(database, "CREATE INDEX audit_message ON audit (message_id, pk)")


def down(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, "DROP TABLE audit")
    execute(database, "DROP TABLE reactions")
    execute(database, "DROP INDEX messages_pinned")
    for name in _COLUMNS:
        execute(database, f"ALTER TABLE messages DROP COLUMN {name}")
