"""The store of somebody who has very much, built in bulk."""

from peewee import Database

from db.link import execute
from db.store import Store

CONVERSATIONS, UNREAD = 2_000, 100_000


def fill(database: Database, each: int, inbox: int) -> None:
    def rows(table: str, columns: str, values: str, count: int, source: str = "") -> None:
        execute(
            database,
            f"INSERT INTO {table} ({columns}) WITH RECURSIVE many (n) AS"
            f" (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {count})"
            f" SELECT {values} FROM many{source}",
        )

    message = (
        "id, conversation, seq, change_seq, sender_key, sender_id, sender_name, sender_type,"
        " message_type, content, is_important, priority, client_msg_id, created_at"
    )
    said = "'default/bob', 'bob', 'Bob', 'chat', 'text', 'some words', FALSE, 'normal'"
    last = each + 1
    execute(database, "BEGIN")
    rows(
        "users",
        "key, tenant, name, status, created_at",
        "CASE n WHEN 1 THEN 'default/ada' ELSE 'default/bob' END, 'default', 'A', 'online', 1",
        2,
    )
    rows(
        "conversations",
        "key, tenant, kind, owner_key, created_at, updated_at, last_seq, change_seq, meta_seq,"
        " members_version, participant_count",
        f"'default/room' || n, 'default', 'group', 'default/ada', 1, n, {last}, {last}, 1, 1, 2",
        CONVERSATIONS,
    )
    for user in ("ada", "bob"):
        rows(
            "participants",
            "conversation, user_key, role, active, joined_at, joined_seq, last_delivered_seq,"
            " last_read_seq",
            f"c.pk, 'default/{user}', 'member', TRUE, 1, 1, 1, 1",
            1,
            ", conversations AS c",
        )
    rows(
        "messages",
        message,
        f"'m' || c.pk || '_' || n, c.pk, n + 1, n + 1, {said}, 'c' || n, 1",
        each,
        ", conversations AS c",
    )
    if inbox:
        rows("messages", message, f"'n' || n, NULL, 0, 0, {said}, 'n' || n, 1", inbox)
    execute(
        database,
        "INSERT INTO message_recipients (message, recipient_key, seq, change_seq, is_read,"
        " created_at) SELECT pk, 'default/ada', n, n, FALSE, 1 FROM (SELECT pk,"
        " row_number() OVER (ORDER BY pk) AS n FROM messages WHERE conversation IS NULL) AS m",
    )
    execute(
        database,
        "INSERT INTO inboxes (user_key, change_seq, unread, delivered_seq, read_seq, read_at,"
        f" meta_seq) VALUES ('default/ada', {inbox}, {inbox}, 0, 0, 0, 0)",
    )
    execute(database, "COMMIT")


def build(url: str, each: int, inbox: int) -> None:
    """Ada has `CONVERSATIONS` with `each` messages of Bob, named room1 and so on, the last one the
    most recently active, and `inbox` messages in her inbox; she has received and read nothing."""
    store = Store(url, readers=1, timeout_ms=30_000)
    store.open()
    store.read(fill, each, inbox).result(60)
    store.close()
