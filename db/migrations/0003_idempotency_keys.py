"""Idempotency keys by themselves: a conversation may have several, whatever its kind."""

from peewee import Database
from playhouse.migrate import SchemaMigrator

from db.link import execute, is_postgres


def up(migrator: SchemaMigrator, database: Database) -> None:
    key = 'TEXT COLLATE "C"' if is_postgres(database) else "TEXT"
    execute(
        database,
        f"CREATE TABLE idempotency_keys (key {key} NOT NULL PRIMARY KEY,"
        " conversation BIGINT NOT NULL REFERENCES conversations (pk))",
    )
    # What was "once <owner> <key>" beside the pairs of direct conversations.
    execute(
        database,
        "INSERT INTO idempotency_keys (key, conversation)"
        " SELECT substr(dedup_key, 6), pk FROM conversations"
        " WHERE substr(dedup_key, 1, 5) = 'once '",
    )
    execute(
        database,
        "UPDATE conversations SET dedup_key = NULL WHERE substr(dedup_key, 1, 5) = 'once '",
    )


def down(migrator: SchemaMigrator, database: Database) -> None:
    execute(
        database,
        "UPDATE conversations SET dedup_key = (SELECT 'once ' || min(k.key)"
        " FROM idempotency_keys AS k WHERE k.conversation = conversations.pk)"
        " WHERE dedup_key IS NULL",
    )
    execute(database, "DROP TABLE idempotency_keys")
