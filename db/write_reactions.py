"""Putting emojis under messages.

A message carries the sum of its reactions, kept with every change, so that reading it costs no
more than before; a change costs the same however many have reacted.
"""

from typing import Any

from anmei.codec import encode
from anmei.commands import Outcome
from anmei.commands_changes import MAX_EMOJIS, MAX_OWN_EMOJIS, React
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import id_of
from db.batch import Batch
from db.link import execute, fetch
from db.target import Target, change, find, told

SHOWN_USERS = 20  # that a message names for each emoji, the first of them


def react(batch: Batch, command: React) -> Outcome:
    target = find(batch, command)
    rows = fetch(
        batch.database,
        "SELECT emoji FROM reactions WHERE message = %s AND user_key = %s",
        (target.pk, command.by_key),
    )
    own = {row[0] for row in rows}
    if command.on == (command.emoji in own):
        return told(batch, target.place, target.message)
    if command.on:
        target.refuse_recalled()
        _check_number(len(own), MAX_OWN_EMOJIS, "of yours")
        reactions = _added(batch, target, command)
    else:
        reactions = _removed(batch, target, command)
    text = encode(reactions).decode() if reactions else None
    return change(batch, target, command, "react" if command.on else "unreact", reactions=text)


def _added(batch: Batch, target: Target, command: React) -> list[dict[str, Any]]:
    reactions: list[dict[str, Any]] = target.message["reactions"]
    entry = _entry(reactions, command.emoji)
    if entry is None:
        _check_number(len(reactions), MAX_EMOJIS, "in all")
        entry = {"emoji": command.emoji, "count": 0, "user_ids": []}
        reactions.append(entry)
    execute(
        batch.database,
        "INSERT INTO reactions (message, user_key, emoji, created_at) VALUES (%s, %s, %s, %s)",
        (target.pk, command.by_key, command.emoji, command.at),
    )
    entry["count"] += 1
    if len(entry["user_ids"]) < SHOWN_USERS:
        entry["user_ids"].append(id_of(command.by_key))
    return reactions


def _removed(batch: Batch, target: Target, command: React) -> list[dict[str, Any]]:
    reactions: list[dict[str, Any]] = target.message["reactions"]
    execute(
        batch.database,
        "DELETE FROM reactions WHERE message = %s AND user_key = %s AND emoji = %s",
        (target.pk, command.by_key, command.emoji),
    )
    entry = _entry(reactions, command.emoji)
    if entry is None or entry["count"] <= 1:
        return [each for each in reactions if each is not entry]
    entry["count"] -= 1
    if id_of(command.by_key) in entry["user_ids"]:
        rows = fetch(
            batch.database,
            "SELECT user_key FROM reactions WHERE message = %s AND emoji = %s ORDER BY pk LIMIT %s",
            (target.pk, command.emoji, SHOWN_USERS),
        )
        entry["user_ids"] = [id_of(row[0]) for row in rows]
    return reactions


def _entry(reactions: list[dict[str, Any]], emoji: str) -> dict[str, Any] | None:
    return next((each for each in reactions if each["emoji"] == emoji), None)


def _check_number(number: int, most: int, whose: str) -> None:
    if number >= most:
        raise AnmeiError(
            ErrorCode.TOO_LARGE,
            f"{number} different emojis {whose} are under the message; at most {most} may be",
        )
