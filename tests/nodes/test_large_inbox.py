"""Somebody with very much: 2,000 conversations, 100,000 unread messages."""

import asyncio
import time
from typing import Any

import pytest
from peewee import Database

from db.link import execute
from db.store import Store

CONVERSATIONS, UNREAD = 2_000, 100_000


def fill(database: Database) -> None:
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
        "'default/room' || n, 'default', 'group', 'default/ada', 1, n, 3, 3, 1, 1, 2",
        CONVERSATIONS,
    )
    for user in ("ada", "bob"):
        rows(
            "participants",
            "conversation, user_key, role, active, joined_at, joined_seq, last_delivered_seq,"
            " last_read_seq",
            f"c.pk, 'default/{user}', 'member', TRUE, 1, 1, 3, 1",
            1,
            ", conversations AS c",
        )
    rows(
        "messages",
        message,
        f"'m' || c.pk || '_' || n, c.pk, n + 1, n + 1, {said}, 'c' || n, 1",
        2,
        ", conversations AS c",
    )
    rows("messages", message, f"'n' || n, NULL, 0, 0, {said}, 'n' || n, 1", UNREAD)
    execute(
        database,
        "INSERT INTO message_recipients (message, recipient_key, seq, change_seq, is_read,"
        " created_at) SELECT pk, 'default/ada', n, n, FALSE, 1 FROM (SELECT pk,"
        " row_number() OVER (ORDER BY pk) AS n FROM messages WHERE conversation IS NULL) AS m",
    )
    execute(
        database,
        "INSERT INTO inboxes (user_key, change_seq, unread, delivered_seq, read_seq, read_at,"
        f" meta_seq) VALUES ('default/ada', {UNREAD}, {UNREAD}, 0, 0, 0, 0)",
    )
    execute(database, "COMMIT")


def build(url: str) -> None:
    store = Store(url, readers=1, timeout_ms=30_000)
    store.open()
    store.read(fill).result(30)
    store.close()


@pytest.mark.gen_test(timeout=60)
async def test_who_has_very_much_is_there_and_synced_within_a_second(
    database_url: str, start: Any, connect: Any
) -> None:
    await asyncio.to_thread(build, database_url)
    node = await start({"DATABASE_URL": database_url})
    rooms = {f"room{n}": 3 for n in range(1, CONVERSATIONS + 1)}
    behind = rooms | {f"room{n}": 1 for n in range(1, 51)}
    for positions, inbox, wanted in (
        ({}, None, {"from": 0, "to": UNREAD, "count": 500, "reset": True}),
        (behind, UNREAD - 400, {"from": UNREAD - 400, "to": UNREAD, "count": 400, "reset": False}),
        (rooms, 5, {"from": UNREAD - 50, "to": UNREAD, "count": 50, "reset": True}),
    ):
        before, begun = node.cpu(), time.monotonic()
        ada = await connect(node, "ada", resume=True)
        assert ada.established["inbox"] == {"seq": UNREAD, "unread": UNREAD}
        done = await ada.sync(positions, inbox=inbox)
        used, took = node.cpu() - before, time.monotonic() - begun
        assert done["inbox"] == wanted
        assert len(done["conversations"]) == len(positions)
        assert len(ada.of_type("new_message")) == (100 if positions is behind else 0)
        # A machine that has other work to do may take several times as long.
        assert used < 1
        assert took < 5
