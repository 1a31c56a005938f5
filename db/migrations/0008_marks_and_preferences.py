"""When marks moved, and what a user has set for each conversation."""

from peewee import Database
from playhouse.migrate import SchemaMigrator

from db.link import execute, is_postgres


def up(migrator: SchemaMigrator, database: Database) -> None:
    key = 'TEXT COLLATE "C"' if is_postgres(database) else "TEXT"
    execute(database, "ALTER TABLE participants ADD COLUMN moves INTEGER NOT NULL DEFAULT 0")
    execute(
        database,
        "CREATE TABLE mark_moves ("
        " conversation BIGINT NOT NULL REFERENCES conversations (pk),"
        f" user_key {key} NOT NULL,"
        " slot INTEGER NOT NULL,"
        " delivered_from BIGINT NOT NULL,"
        " delivered_seq BIGINT NOT NULL,"
        " read_from BIGINT NOT NULL,"
        " read_seq BIGINT NOT NULL,"
        " at BIGINT NOT NULL,"
        " PRIMARY KEY (conversation, user_key, slot))",
    )
    execute(
        database,
        f"CREATE TABLE preference_seqs (user_key {key} NOT NULL PRIMARY KEY, seq BIGINT NOT NULL)",
    )
    execute(
        database,
        "CREATE TABLE preferences ("
        f" user_key {key} NOT NULL,"
        " conversation BIGINT NOT NULL REFERENCES conversations (pk),"
        " seq BIGINT NOT NULL,"
        " muted_until BIGINT,"
        " pinned_at BIGINT,"
        " draft TEXT,"
        " draft_at BIGINT,"
        " PRIMARY KEY (user_key, conversation))",
    )
    execute(database, "CREATE UNIQUE INDEX preferences_user_key_seq ON preferences (user_key, seq)")


def down(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, "DROP TABLE preferences")
    execute(database, "DROP TABLE preference_seqs")
    execute(database, "DROP TABLE mark_moves")
    execute(database, "ALTER TABLE participants DROP COLUMN moves")
