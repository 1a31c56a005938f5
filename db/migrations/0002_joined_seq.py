"""The number at which each participant came in."""

from peewee import Database
from playhouse.migrate import SchemaMigrator

from db.link import execute


def up(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, "ALTER TABLE participants ADD COLUMN joined_seq BIGINT NOT NULL DEFAULT 0")
    # Nobody wrote down when they came; what they have received is not replayed for it.
    execute(database, "UPDATE participants SET joined_seq = last_delivered_seq + 1")


def down(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, "ALTER TABLE participants DROP COLUMN joined_seq")
