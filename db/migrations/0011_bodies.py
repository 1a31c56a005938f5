"""What a message holds besides text, and what is shown of the page that it links to."""

from peewee import Database
from playhouse.migrate import SchemaMigrator

from db.link import execute


def up(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, "ALTER TABLE messages ADD COLUMN body TEXT")
    execute(database, "ALTER TABLE messages ADD COLUMN link_preview TEXT")


def down(migrator: SchemaMigrator, database: Database) -> None:
    execute(database, "ALTER TABLE messages DROP COLUMN link_preview")
    execute(database, "ALTER TABLE messages DROP COLUMN body")
