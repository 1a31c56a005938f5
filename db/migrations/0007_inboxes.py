"""Inboxes: their counters, and what each message of one needs to be synced like a conversation."""

from peewee import Database
from playhouse.migrate import SchemaMigrator

from db.link import execute, is_postgres


def up(migrator: SchemaMigrator, database: Database) -> None:
    key = 'TEXT COLLATE "C"' if is_postgres(database) else "TEXT"
    execute(
        database,
        f"CREATE TABLE inboxes (user_key {key} NOT NULL PRIMARY KEY,"
        " change_seq BIGINT NOT NULL, unread BIGINT NOT NULL, delivered_seq BIGINT NOT NULL,"
        " read_seq BIGINT NOT NULL, read_at BIGINT NOT NULL, meta_seq BIGINT NOT NULL)",
    )
    for column in ("title TEXT", f"category {key}"):
        execute(database, f"ALTER TABLE messages ADD COLUMN {column}")
    execute(
        database, "ALTER TABLE message_recipients ADD COLUMN change_seq BIGINT NOT NULL DEFAULT 0"
    )
    execute(database, "ALTER TABLE message_recipients ADD COLUMN removed_at BIGINT")
    execute(database, "UPDATE message_recipients SET change_seq = seq")
    execute(
        database,
        "INSERT INTO inboxes"
        " SELECT recipient_key, max(seq), sum(CASE WHEN is_read THEN 0 ELSE 1 END), 0, 0, 0, 0"
        " FROM message_recipients GROUP BY recipient_key",
    )
    execute(database, "ALTER TABLE devices ADD COLUMN inbox_seq BIGINT")
    execute(
        database,
        "CREATE UNIQUE INDEX messages_personal ON messages (sender_key, client_msg_id)"
        " WHERE conversation IS NULL",
    )
    execute(
        database,
        "CREATE UNIQUE INDEX message_recipients_change_seq"
        " ON message_recipients (recipient_key, change_seq)",
    )
    execute(
        database,
        "CREATE INDEX message_recipients_unread"
        " ON message_recipients (recipient_key, is_read, seq)",
    )
    execute(database, f"DROP INDEX {_OLD}")


def down(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, f"CREATE INDEX {_OLD} ON message_recipients (recipient_key, is_read)")
    for index in (
        "message_recipients_unread",
        "message_recipients_change_seq",
        "messages_personal",
    ):
        execute(database, f"DROP INDEX {index}")
    execute(database, "ALTER TABLE devices DROP COLUMN inbox_seq")
    for column in ("removed_at", "change_seq"):
        execute(database, f"ALTER TABLE message_recipients DROP COLUMN {column}")
    for column in ("category", "title"):
        execute(database, f"ALTER TABLE messages DROP COLUMN {column}")
    execute(database, "DROP TABLE inboxes")


_OLD = "messagerecipient_recipient_key_is_read"
