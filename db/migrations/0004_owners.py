"""Conversations are found by their owner, whose number is limited."""

from peewee import Database
from playhouse.migrate import SchemaMigrator

from db.link import execute


def up(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, "CREATE INDEX conversations_owner_key ON conversations (owner_key)")


def down(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, "DROP INDEX conversations_owner_key")
