"""The index that messages are found by, and what people and backends sort and write them with:
tags, categories and templates."""

from peewee import Database
from playhouse.migrate import SchemaMigrator

from db.link import execute, is_postgres

_TABLES = (
    "CREATE TABLE search_state (id INTEGER NOT NULL PRIMARY KEY, position BIGINT NOT NULL,"
    " version BIGINT NOT NULL)",
    "CREATE TABLE search_index (message BIGINT NOT NULL PRIMARY KEY, place BIGINT NOT NULL,"
    " created_at BIGINT NOT NULL{words})",
    "CREATE INDEX search_index_place ON search_index (place, message)",
    "CREATE TABLE search_queue (pk {serial} PRIMARY KEY, message BIGINT NOT NULL)",
    "CREATE TABLE message_tags (owner_key {key} NOT NULL, tag {key} NOT NULL,"
    " message BIGINT NOT NULL REFERENCES messages (pk), tagged_at BIGINT NOT NULL,"
    " PRIMARY KEY (owner_key, tag, message))",
    "CREATE INDEX message_tags_message ON message_tags (owner_key, message)",
    "CREATE TABLE conversation_tags (owner_key {key} NOT NULL, tag {key} NOT NULL,"
    " conversation BIGINT NOT NULL REFERENCES conversations (pk), tagged_at BIGINT NOT NULL,"
    " PRIMARY KEY (owner_key, tag, conversation))",
    "CREATE INDEX conversation_tags_conversation ON conversation_tags (owner_key, conversation)",
    "CREATE TABLE conversation_categories (owner_key {key} NOT NULL, conversation BIGINT NOT NULL"
    " REFERENCES conversations (pk), category {key} NOT NULL,"
    " PRIMARY KEY (owner_key, conversation))",
    "CREATE INDEX conversation_categories_category"
    " ON conversation_categories (owner_key, category, conversation)",
    "CREATE TABLE templates (key {key} NOT NULL PRIMARY KEY, texts TEXT NOT NULL,"
    " default_language TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)",
)
#: Whatever changes a text, and whoever writes that: nobody can forget to say so.
_SQLITE = (
    "CREATE VIRTUAL TABLE search_words USING fts5 (words, detail=none, columnsize=0,"
    " tokenize = \"ascii tokenchars '@#=!/._+-'\")",
    "CREATE TRIGGER messages_changed AFTER UPDATE OF content ON messages"
    " BEGIN INSERT INTO search_queue (message) VALUES (new.pk); END",
)
_POSTGRES = (
    # Rows that wait to be sorted into the index are read one by one by every search, so few.
    "CREATE INDEX search_index_words ON search_index USING gin (words)"
    " WITH (gin_pending_list_limit = 256)",
    "CREATE FUNCTION message_changed() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN INSERT INTO search_queue (message) VALUES (new.pk); RETURN NULL; END$$",
    "CREATE TRIGGER messages_changed AFTER UPDATE OF content ON messages FOR EACH ROW"
    " EXECUTE FUNCTION message_changed()",
)


def up(migrator: SchemaMigrator, database: Database) -> None:
    postgres = is_postgres(database)
    words = ', words TEXT[] COLLATE "C" NOT NULL' if postgres else ""
    serial = "BIGSERIAL" if postgres else "INTEGER"
    key = 'TEXT COLLATE "C"' if postgres else "TEXT"
    for sql in _TABLES:
        execute(database, sql.format(words=words, serial=serial, key=key))
    for sql in _POSTGRES if postgres else _SQLITE:
        execute(database, sql)


def down(migrator: SchemaMigrator, database: Database) -> None:
    if is_postgres(database):
        execute(database, "DROP TRIGGER messages_changed ON messages")
        execute(database, "DROP FUNCTION message_changed")
    else:
        execute(database, "DROP TRIGGER messages_changed")
        execute(database, "DROP TABLE search_words")
    for table in (
        *("templates", "conversation_categories", "conversation_tags", "message_tags"),
        *("search_queue", "search_index", "search_state"),
    ):
        execute(database, f"DROP TABLE {table}")
