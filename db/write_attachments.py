"""Uploads as they grow, files as they go, and which messages carry which."""

from collections.abc import Callable, Iterable
from typing import Any

import ujson
from peewee import Database

from anmei.bodies import attachment_ids
from anmei.commands import Command, Outcome, SendMessage
from anmei.commands_files import (
    CreateUpload,
    DropLeases,
    ExpireFiles,
    FinishUpload,
    ForgetFiles,
    RemoveFile,
    SaveUpload,
    TakeUpload,
)
from anmei.commands_inbox import PostMessage
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.ids import make_key, tenant_of
from db.batch import Batch
from db.link import execute, fetch, fetch_many, insert_many, is_postgres, marks
from db.query_attachments import CARRIED, UPLOAD_COLUMNS, as_upload

#: Who wants which file: (the sender's key, whether a member sends, the file's id).
Ask = tuple[str, bool, str]

_INSERT = (
    "INSERT INTO attachments (id, tenant, owner_key, state, size, received, name, content_type,"
    " safe, metadata, place, lease_until, created_at, expires_at) VALUES {values}"
)


def named_by(command: SendMessage | PostMessage) -> tuple[str, ...]:
    """The files that a message is to carry."""
    if command.body is None:
        return ()
    return attachment_ids(command.message_type, ujson.loads(command.body))


def touched(command: Command) -> tuple[str, ...]:
    """The files whose rows a command reads or changes."""
    if isinstance(command, SendMessage):
        return named_by(command)
    if isinstance(command, PostMessage):
        return named_by(command)
    if isinstance(command, TakeUpload | SaveUpload | FinishUpload | RemoveFile):
        return (command.attachment_id,)
    return ()


# Uploads


def create(batch: Batch, command: CreateUpload) -> Outcome:
    database = batch.database
    if batch.again and fetch(
        database, "SELECT 1 FROM attachments WHERE id = %s", (command.attachment_id,)
    ):
        return Outcome(reply={"received": 0})
    ((taken, uploads),) = fetch(
        database,
        "SELECT coalesce(sum(size), 0), coalesce(sum(CASE WHEN state = 'uploading' THEN 1 END), 0)"
        " FROM attachments WHERE owner_key = %s AND state IN ('uploading', 'ready')",
        (command.owner_key,),
    )
    if command.most_uploads and uploads >= command.most_uploads:
        raise AnmeiError(
            ErrorCode.RATE_LIMITED,
            f"{uploads} uploads are under way; at most {command.most_uploads} are allowed at once:"
            " finish or delete one (ANMEI_LIMIT_UPLOADS_PER_USER)",
            retry_after_ms=60_000,
        )
    if command.most_bytes and taken + command.size > command.most_bytes:
        raise AnmeiError(
            ErrorCode.TOO_LARGE,
            f"your files take {taken} bytes; with {command.size} more they would take more than"
            f" the {command.most_bytes} that are allowed (ANMEI_LIMIT_FILES_PER_USER)",
        )
    row = (
        command.attachment_id,
        command.tenant,
        command.owner_key,
        "uploading",
        command.size,
        0,
        command.name,
        command.content_type,
        False,
        command.metadata,
        "",
        0,
        command.created_at,
        command.expires_at,
    )
    insert_many(database, _INSERT, [row])
    return Outcome(reply={"received": 0})


def take(batch: Batch, command: TakeUpload) -> Outcome:
    rows = fetch(
        batch.database,
        f"SELECT {UPLOAD_COLUMNS}, lease, lease_until FROM attachments"
        " WHERE id = %s AND owner_key = %s AND state <> 'removed'",
        (command.attachment_id, command.owner_key),
    )
    if not rows:
        raise not_found("file")
    *row, lease, held = rows[0]
    found = as_upload(tuple(row))
    # Its own lease is that of this very attempt, whose answer was lost.
    if held >= command.now and lease != command.lease:
        raise AnmeiError(
            ErrorCode.LOCKED,
            "another request writes to this upload: try again in a moment",
            retry_after_ms=held - command.now + 1,
        )
    if command.offset not in (None, found["received"]):
        raise AnmeiError(
            ErrorCode.CONFLICT,
            f"Upload-Offset: the upload has {found['received']} bytes, not {command.offset}",
        )
    execute(
        batch.database,
        "UPDATE attachments SET lease = %s, lease_until = %s WHERE id = %s",
        (command.lease, command.until, command.attachment_id),
    )
    return Outcome(reply=found)


def save(batch: Batch, command: SaveUpload) -> Outcome:
    done = execute(
        batch.database,
        "UPDATE attachments SET received = %s, place = %s, lease_until = %s, expires_at = %s"
        " WHERE id = %s AND lease = %s AND state = 'uploading'",
        (
            command.received,
            command.place,
            command.until,
            command.expires_at,
            command.attachment_id,
            command.lease,
        ),
    )
    return _held(done)


def finish(batch: Batch, command: FinishUpload) -> Outcome:
    done = execute(
        batch.database,
        "UPDATE attachments SET state = 'ready', received = size, place = %s, sha256 = %s,"
        " content_type = %s, safe = %s, expires_at = %s, lease = NULL, lease_until = 0"
        " WHERE id = %s AND lease = %s AND state = 'uploading'",
        (
            command.place,
            command.sha256,
            command.content_type,
            command.safe,
            command.expires_at,
            command.attachment_id,
            command.lease,
        ),
    )
    if batch.again and fetch(
        batch.database,
        "SELECT 1 FROM attachments WHERE id = %s AND state = 'ready' AND sha256 = %s",
        (command.attachment_id, command.sha256),
    ):
        return Outcome(reply={})
    return _held(done)


def drop_leases(batch: Batch, command: DropLeases) -> Outcome:
    execute(
        batch.database,
        "UPDATE attachments SET lease = NULL, lease_until = 0"
        " WHERE state IN ('uploading', 'removed') AND lease_until > 0",
    )
    return Outcome(reply={})


def _held(done: Any) -> Outcome:
    if done.rowcount == 0:
        raise AnmeiError(
            ErrorCode.LOCKED, "another request has taken this upload over, or it is gone"
        )
    return Outcome(reply={})


# The end of a file


def remove(batch: Batch, command: RemoveFile) -> Outcome:
    rows = fetch(
        batch.database,
        "SELECT pk FROM attachments WHERE id = %s AND owner_key = %s AND state <> 'removed'",
        (command.attachment_id, command.owner_key),
    )
    if batch.again and fetch(
        batch.database,
        "SELECT 1 FROM attachments"
        " WHERE id = %s AND owner_key = %s AND state = 'removed' AND expires_at = %s",
        (command.attachment_id, command.owner_key, command.now),
    ):
        return Outcome(reply={})
    if not rows:
        raise not_found("file")
    if not _remove(batch.database, [rows[0][0]], command.now):
        raise AnmeiError(ErrorCode.CONFLICT, "a message carries this file: recall that first")
    return Outcome(reply={})


def expire(batch: Batch, command: ExpireFiles) -> Outcome:
    sql = (
        "SELECT pk FROM attachments WHERE state IN ('uploading', 'ready') AND expires_at <= %s"
        " AND lease_until < %s ORDER BY pk LIMIT %s"
    )
    if is_postgres(batch.database):
        sql += " FOR UPDATE"
    rows = fetch(batch.database, sql, (command.now, command.now, command.limit))
    _remove(batch.database, [row[0] for row in rows], command.now)
    return Outcome(reply={"expired": len(rows)})


def forget(batch: Batch, command: ForgetFiles) -> Outcome:
    ids = command.attachment_ids
    if ids:
        execute(
            batch.database,
            f"DELETE FROM attachments WHERE id IN ({marks(len(ids))}) AND state = 'removed'",
            ids,
        )
    return Outcome(reply={})


def _remove(database: Database, pks: list[int], now: int) -> int:
    """Let those go that no message carries; how many."""
    if not pks:
        return 0
    done = execute(
        database,
        "UPDATE attachments SET state = 'removed', expires_at = %s"
        f" WHERE pk IN ({marks(len(pks))}) AND NOT EXISTS"
        " (SELECT 1 FROM attachment_links AS l WHERE l.attachment = attachments.pk)",
        (now, *pks),
    )
    return int(done.rowcount)


# What messages carry


def allowed(database: Database, asks: Iterable[Ask]) -> set[Ask]:
    """Those of the files that may be sent by whoever wants to: one's own, one that a message
    carries which one may read, and for a backend any of its tenant. Their rows are locked."""
    wanted = list(dict.fromkeys(asks))
    lock = " ORDER BY pk FOR UPDATE" if is_postgres(database) else ""
    found = {
        id: (pk, tenant, owner_key)
        for id, pk, tenant, owner_key in fetch_many(
            database,
            "SELECT id, pk, tenant, owner_key FROM attachments"
            f" WHERE id IN ({{values}}) AND state = 'ready'{lock}",
            sorted({id for _, _, id in wanted}),
        )
    }
    good = set()
    for ask in wanted:
        sender_key, as_member, id = ask
        pk, tenant, owner_key = found.get(id, (0, "", ""))
        if (tenant == tenant_of(sender_key)) and (
            not as_member or owner_key == sender_key or _carried(database, pk, sender_key)
        ):
            good.add(ask)
    return good


def _carried(database: Database, pk: int, user_key: str) -> bool:
    sql = f"SELECT 1 FROM attachments AS a WHERE a.pk = %s AND {CARRIED}"
    return bool(fetch(database, sql, (pk, user_key, user_key)))


def link(database: Database, pairs: list[tuple[str, str]]) -> None:
    """Note that these messages, which are stored, carry these files: `(message id, file id)`."""
    if not pairs:
        return
    ids = sorted({id for _, id in pairs})
    files: dict[str, int] = dict(
        fetch_many(database, "SELECT id, pk FROM attachments WHERE id IN ({values})", ids)
    )
    messages: dict[str, int] = dict(
        fetch_many(
            database,
            "SELECT id, pk FROM messages WHERE id IN ({values})",
            sorted({message for message, _ in pairs}),
        )
    )
    insert_many(
        database,
        "INSERT INTO attachment_links (message, attachment) VALUES {values}",
        [(messages[message], files[id]) for message, id in pairs],
    )
    execute(
        database,
        f"UPDATE attachments SET expires_at = NULL WHERE id IN ({marks(len(ids))})",
        ids,
    )


def carry(database: Database, tenant: str, messages: Iterable[tuple[str, str, str | None]]) -> None:
    """Have messages that came with a whole conversation, `(id, type, body)`, carry those of their
    files that the tenant has."""
    named = [
        (id, file)
        for id, kind, body in messages
        if body is not None
        for file in attachment_ids(kind, ujson.loads(body))
    ]
    anybody = make_key(tenant, "anybody")
    good = allowed(database, ((anybody, False, file) for _, file in named))
    link(database, [(id, file) for id, file in named if (anybody, False, file) in good])


def unlink(database: Database, messages: list[int], now: int) -> None:
    """Take the files off these messages, by primary key; those go that no other one carries."""
    if not messages:
        return
    pks = sorted(
        {
            row[0]
            for row in fetch_many(
                database,
                "SELECT attachment FROM attachment_links WHERE message IN ({values})",
                messages,
            )
        }
    )
    if not pks:
        return
    if is_postgres(database):
        # Whoever links one of them meanwhile comes before this, or finds it gone.
        execute(
            database,
            f"SELECT pk FROM attachments WHERE pk IN ({marks(len(pks))}) ORDER BY pk FOR UPDATE",
            pks,
        )
    execute(
        database,
        f"DELETE FROM attachment_links WHERE message IN ({marks(len(messages))})",
        messages,
    )
    _remove(database, pks, now)


#: How each of the commands is executed.
SINGLE: dict[type, Callable[[Batch, Any], Outcome]] = {
    CreateUpload: create,
    TakeUpload: take,
    SaveUpload: save,
    FinishUpload: finish,
    RemoveFile: remove,
    ExpireFiles: expire,
    ForgetFiles: forget,
    DropLeases: drop_leases,
}
