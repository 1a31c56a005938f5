"""Editing, recalling and pinning messages."""

from anmei.commands import Outcome
from anmei.commands_changes import MAX_PINS, EditMessage, PinMessage, RecallMessage
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import id_of
from anmei.links import first_link
from db import mentions
from db.batch import Batch
from db.link import fetch
from db.scrub import scrub
from db.target import Target, change, find, told


def edit(batch: Batch, command: EditMessage) -> Outcome:
    target = find(batch, command)
    message, place = target.message, target.place
    if command.by_key != target.sender_key:
        raise AnmeiError(ErrorCode.FORBIDDEN, "only its sender edits a message")
    target.refuse_recalled()
    if command.mentions is None:
        mentioned = tuple(message["mentions"])
    else:
        mentioned = tuple(dict.fromkeys(command.mentions))
    if (command.content, list(mentioned)) == (message["content"], message["mentions"]):
        return told(batch, place, message)
    _check_window(target, command, "edited")
    everybody = command.moderator or not command.as_member or command.by_key == place.owner_key
    # Whoever is mentioned already may have left since.
    new = tuple(user_id for user_id in mentioned if user_id not in message["mentions"])
    error = mentions.misfit(batch, place, new, everybody)
    if error is not None:
        raise error
    shown = message["link_preview"]
    if shown is not None and shown["url"] != first_link(command.content):
        gone = {"link_preview": None}
    else:
        gone = {}
    return change(
        batch,
        target,
        command,
        "edit",
        **gone,
        content=command.content,
        mentions=mentions.text(mentioned),
        edited_at=command.at,
    )


def recall(batch: Batch, command: RecallMessage) -> Outcome:
    target = find(batch, command)
    place = target.place
    own = command.by_key == target.sender_key
    # Of a conversation of two, either may have been the one to begin it.
    owned = command.by_key == place.owner_key and place.kind != "direct"
    moderating = command.moderator or owned
    if not own and not moderating:
        raise AnmeiError(
            ErrorCode.FORBIDDEN, "only its sender or the owner of the conversation recalls it"
        )
    if target.recalled:
        return told(batch, place, target.message)
    if not moderating:
        _check_window(target, command, "recalled")
    scrub(batch.database, [target.pk])
    return change(batch, target, command, "recall", recalled_at=command.at)


def pin(batch: Batch, command: PinMessage) -> Outcome:
    target = find(batch, command)
    message, place = target.message, target.place
    if place.kind == "system" and not command.moderator and command.by_key != place.owner_key:
        raise AnmeiError(
            ErrorCode.FORBIDDEN, "only the owner of a system conversation pins its messages"
        )
    if command.on == (message["pinned_at"] is not None):
        return told(batch, place, message)
    if not command.on:
        return change(batch, target, command, "unpin", pinned_at=None, pinned_by=None)
    target.refuse_recalled()
    ((count,),) = fetch(
        batch.database,
        "SELECT count(*) FROM messages WHERE conversation = %s AND pinned_at IS NOT NULL",
        (place.pk,),
    )
    if count >= MAX_PINS:
        raise AnmeiError(
            ErrorCode.TOO_LARGE,
            f"{count} messages of the conversation are pinned; at most {MAX_PINS} may be",
        )
    by = id_of(command.by_key)
    return change(batch, target, command, "pin", pinned_at=command.at, pinned_by=by)


def _check_window(target: Target, command: EditMessage | RecallMessage, done: str) -> None:
    if command.window and command.at - target.created_at > command.window:
        raise AnmeiError(
            ErrorCode.FORBIDDEN,
            f"a message can be {done} for {command.window} ms after it was sent",
            details={"window_ms": command.window},
        )
