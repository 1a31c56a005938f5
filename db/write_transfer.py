"""Putting an exported conversation together again, and then showing it."""

from typing import Any

import ujson

from anmei.codec import encode
from anmei.commands import Outcome
from anmei.commands_transfer import (
    BeginImport,
    EndImport,
    ImportMessages,
    ImportPeople,
    import_key,
)
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import id_of, tenant_of
from db import shapes
from db.batch import Batch, Place
from db.link import execute, fetch, fetch_many, insert_many
from db.scrub import scrub
from db.write_attachments import carry
from db.write_people import make_users
from db.write_reactions import SHOWN_USERS

#: What stands before the role of somebody who is in as soon as the conversation is whole.
_WAITING = "!"
_SUMMED_AT_ONCE = 500  # messages

_USERS = (
    "INSERT INTO users (key, tenant, name, status, created_at, last_seen_at) VALUES {values}"
    " ON CONFLICT (key) DO NOTHING"
)
_PEOPLE = (
    "INSERT INTO participants (conversation, user_key, role, active, joined_at, joined_seq,"
    " left_at, last_delivered_seq, last_read_seq) VALUES {values}"
    " ON CONFLICT (conversation, user_key) DO UPDATE SET role = excluded.role,"
    " joined_at = excluded.joined_at, joined_seq = excluded.joined_seq, left_at = excluded.left_at,"
    " last_delivered_seq = excluded.last_delivered_seq, last_read_seq = excluded.last_read_seq"
)
_COLUMNS = tuple(column.strip() for column in f"{shapes.MESSAGE_COLUMNS}, sender_key".split(","))
_MESSAGES = f"INSERT INTO messages ({', '.join(_COLUMNS)}, conversation) VALUES {{values}}"
_REACTIONS = (
    "INSERT INTO reactions (message, user_key, emoji, created_at) VALUES {values}"
    " ON CONFLICT (message, user_key, emoji) DO NOTHING"
)


def begin(batch: Batch, command: BeginImport) -> Outcome:
    place = batch.place(command.key)
    if place is not None:
        _check_same(place, command)
        return Outcome(reply={"state": "complete"})
    place = batch.place(import_key(command.key))
    if place is not None:
        _check_same(place, command)
        return Outcome(reply={"state": "resumed"})
    make_users(batch, [command.owner_key], command.created_at)
    row = (
        import_key(command.key),
        tenant_of(command.key),
        command.kind,
        command.title,
        command.owner_key,
        command.created_at,
        command.created_at,
    )
    columns = "key, tenant, kind, title, owner_key, created_at, updated_at"
    zeros = "last_seq, change_seq, meta_seq, members_version, participant_count"
    execute(
        batch.database,
        f"INSERT INTO conversations ({columns}, {zeros})"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 0, 0, 0, 0, 0)",
        row,
    )
    batch.lock({import_key(command.key)})
    return Outcome(reply={"state": "new"})


def people(batch: Batch, command: ImportPeople) -> Outcome:
    place = _open(batch, command.conversation_key)
    tenant = place.tenant
    insert_many(
        batch.database,
        _USERS,
        [
            (one.user_key, tenant, one.name, "online", command.at, None)
            for one in sorted(command.people, key=lambda one: one.user_key)
        ],
    )
    insert_many(
        batch.database,
        _PEOPLE,
        [
            (
                place.pk,
                one.user_key,
                _WAITING + one.role if one.active else one.role,
                False,
                one.joined_at,
                one.joined_seq,
                one.left_at,
                one.last_delivered_seq,
                one.last_read_seq,
            )
            for one in command.people
        ],
    )
    return Outcome(reply={})


def messages(batch: Batch, command: ImportMessages) -> Outcome:
    place = _open(batch, command.conversation_key)
    named = [row["id"] for row in command.messages] + [one.message_id for one in command.reactions]
    known = _known(batch, place, named)
    new = [row for row in command.messages if row["id"] not in known]
    rows = [(*map(row.get, _COLUMNS), place.pk) for row in new]
    insert_many(batch.database, _MESSAGES, rows)
    carry(
        batch.database,
        place.tenant,
        ((row["id"], row["message_type"], row.get("body")) for row in new),
    )
    for row in command.messages:
        pk, change_seq = known.get(row["id"], (0, row["change_seq"]))
        if change_seq != row["change_seq"]:
            _replace(batch, pk, row)
    if command.reactions:
        known = _known(batch, place, named)
        insert_many(
            batch.database,
            _REACTIONS,
            [
                (known[one.message_id][0], one.user_key, one.emoji, one.created_at)
                for one in command.reactions
            ],
        )
    return Outcome(reply={"added": len(rows)})


def end(batch: Batch, command: EndImport) -> Outcome:
    taken = batch.place(command.key) is not None
    if taken and batch.place(import_key(command.key)) is None:
        return Outcome(reply={})
    place = _open(batch, import_key(command.key))
    if taken:
        raise _taken()
    for table, count in (("participants", command.participants), ("messages", command.messages)):
        ((found,),) = fetch(
            batch.database, f"SELECT count(*) FROM {table} WHERE conversation = %s", (place.pk,)
        )
        if found != count:
            raise AnmeiError(
                ErrorCode.CONFLICT,
                f"{found} {table} are there instead of {count}: another file of the same "
                "conversation was begun before",
            )
    waiting = f"conversation = %s AND substr(role, 1, 1) = '{_WAITING}'"
    members = [
        key
        for (key,) in fetch(
            batch.database, f"SELECT user_key FROM participants WHERE {waiting}", (place.pk,)
        )
    ]
    if place.owner_key not in members:
        raise AnmeiError(ErrorCode.CONFLICT, "the owner is not among the participants")
    pair = "direct " + " ".join(sorted(members)) if place.kind == "direct" else None
    twins = fetch(batch.database, "SELECT 1 FROM conversations WHERE dedup_key = %s", (pair,))
    if twins:
        raise AnmeiError(
            ErrorCode.CONFLICT, "these two people have another direct conversation already"
        )
    # Only now: what was refused must have changed nothing.
    _sum_reactions(batch, place)
    execute(
        batch.database,
        f"UPDATE participants SET active = TRUE, role = substr(role, 2) WHERE {waiting}",
        (place.pk,),
    )
    execute(
        batch.database,
        "UPDATE conversations SET key = %s, title = %s, dedup_key = %s, updated_at = %s,"
        " last_seq = %s, change_seq = %s, meta_seq = %s, members_version = 1,"
        " participant_count = %s"
        " WHERE pk = %s",
        (
            command.key,
            command.title,
            pair,
            command.updated_at,
            command.last_seq,
            command.change_seq,
            command.meta_seq,
            len(members),
            place.pk,
        ),
    )
    return Outcome(reply={})


def _sum_reactions(batch: Batch, place: Place) -> None:
    """Have each message say what its reactions are: who put one there or took one away while it was
    exported is in one of the two and not in the other."""
    last = 0
    while page := fetch(
        batch.database,
        "SELECT pk, reactions FROM messages AS m WHERE conversation = %s AND pk > %s AND"
        " (reactions IS NOT NULL OR EXISTS (SELECT 1 FROM reactions AS r WHERE r.message = m.pk))"
        " ORDER BY pk LIMIT %s",
        (place.pk, last, _SUMMED_AT_ONCE),
    ):
        last = page[-1][0]
        users: dict[int, dict[str, list[str]]] = {pk: {} for pk, _ in page}
        for pk, emoji, user_key in fetch_many(
            batch.database,
            "SELECT message, emoji, user_key FROM reactions WHERE message IN ({values})"
            " ORDER BY message, emoji, pk",
            list(users),
        ):
            users[pk].setdefault(emoji, []).append(id_of(user_key))
        for pk, text in page:
            said = [] if text is None else ujson.loads(text)
            order = dict.fromkeys((*(one["emoji"] for one in said), *users[pk]))
            found = [
                {
                    "emoji": emoji,
                    "count": len(users[pk][emoji]),
                    "user_ids": users[pk][emoji][:SHOWN_USERS],
                }
                for emoji in order
                if emoji in users[pk]
            ]
            if found != said:
                execute(
                    batch.database,
                    "UPDATE messages SET reactions = %s WHERE pk = %s",
                    (encode(found).decode() if found else None, pk),
                )


def _open(batch: Batch, key: str) -> Place:
    """The conversation that is being imported. Raises AnmeiError where it was not begun."""
    place = batch.place(key)
    if place is None:
        raise AnmeiError(ErrorCode.CONFLICT, "no import of this conversation was begun")
    return place


def _check_same(place: Place, command: BeginImport) -> None:
    same = (place.kind, place.owner_key, place.created_at)
    if same != (command.kind, command.owner_key, command.created_at):
        raise _taken()


def _taken() -> AnmeiError:
    return AnmeiError(ErrorCode.CONFLICT, "another conversation has this id; nothing was imported")


def _replace(batch: Batch, pk: int, row: dict[str, Any]) -> None:
    """Another file of the same conversation was begun before: what was recalled or edited between
    the two must not stay as it was. Rows are replaced and never removed, since SQLite would give
    their numbers again, which others rely on to rise."""
    if row["recalled_at"] is not None:
        scrub(batch.database, [pk])
    execute(batch.database, "DELETE FROM reactions WHERE message = %s", (pk,))
    sets = ", ".join(f"{column} = %s" for column in _COLUMNS)
    values = (*map(row.get, _COLUMNS), pk)
    execute(batch.database, f"UPDATE messages SET {sets} WHERE pk = %s", values)


def _known(batch: Batch, place: Place, ids: list[str]) -> dict[str, tuple[int, int]]:
    """The primary keys and the change_seq of those messages that are there already."""
    found = fetch_many(
        batch.database,
        "SELECT id, conversation, pk, change_seq FROM messages WHERE id IN ({values})",
        sorted(set(ids)),
    )
    for id, conversation, _, _ in found:
        if conversation != place.pk:
            raise AnmeiError(ErrorCode.CONFLICT, f"{id} is a message of another conversation")
    return {id: (pk, change_seq) for id, _, pk, change_seq in found}
