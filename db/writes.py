"""Executing commands, many in one transaction."""

import logging
from collections.abc import Callable
from typing import Any

from peewee import Database

from anmei.commands import (
    AddParticipants,
    Command,
    CreateConversation,
    MoveMarks,
    Outcome,
    RemoveParticipant,
    SendMessage,
    TouchDevice,
)
from anmei.commands_changes import (
    ChangeMessage,
    EditMessage,
    ForwardMessage,
    PinMessage,
    React,
    RecallMessage,
    SweepAudit,
)
from anmei.commands_files import CreateUpload, FileCommand
from anmei.commands_inbox import InboxCommand, MarkInbox, PostMessage, RemoveFromInbox
from anmei.commands_preferences import SetPreference
from anmei.commands_previews import SetPreview
from anmei.commands_tokens import RevokeTokens, SweepRevocations
from anmei.commands_transfer import BeginImport, EndImport, ImportMessages, ImportPeople
from anmei.errors import AnmeiError, ErrorCode
from db import (
    write_attachments,
    write_audit,
    write_changes,
    write_conversations,
    write_forwards,
    write_inbox,
    write_marks,
    write_messages,
    write_people,
    write_preferences,
    write_previews,
    write_reactions,
    write_revocations,
    write_transfer,
)
from db.audiences import Audiences
from db.batch import Batch
from db.link import execute, is_lost

log = logging.getLogger("anmei.db")


def run(
    database: Database, audiences: Audiences, commands: list[Command], again: bool = False
) -> list[Outcome]:
    """Execute `commands` inside the transaction that is open, in order as far as it matters:
    commands of one conversation keep theirs. Whatever it raises, nothing must be committed.
    `again`: they may have been committed already, and nobody was told."""
    batch = Batch(database, audiences, again)
    _lock(batch, commands)
    outcomes: list[Outcome] = [Outcome()] * len(commands)
    for kind, numbers in _stages(batch, commands):
        stage: list[Any] = [commands[number] for number in numbers]
        results = _GROUPED[kind](batch, stage) if kind in _GROUPED else _each(batch, stage)
        for number, outcome in zip(numbers, results, strict=True):
            outcomes[number] = outcome
    batch.flush()
    return outcomes


def run_apart(
    database: Database,
    audiences: Audiences,
    commands: list[Command],
    again: bool = False,
    whole: bool = True,
) -> list[Outcome]:
    """The same for commands of which at least one makes the database refuse the statement it is
    in: halved until the culprit stands alone, and only that one fails."""
    if whole:
        _lock(Batch(database, audiences), commands)
    outcomes = []
    middle = (len(commands) + 1) // 2
    for part in (commands[:middle], commands[middle:]) if middle < len(commands) else (commands,):
        execute(database, "SAVEPOINT part")
        try:
            outcomes += run(database, audiences, part, again)
        except Exception as error:
            if is_lost(error):
                raise
            execute(database, "ROLLBACK TO SAVEPOINT part")
            audiences.discard()
            if len(part) > 1:
                outcomes += run_apart(database, audiences, part, again, whole=False)
            else:
                outcomes.append(Outcome(error=_internal(part[0], error)))
        execute(database, "RELEASE SAVEPOINT part")
    return outcomes


def _lock(batch: Batch, commands: list[Command]) -> None:
    # Nearly all commands of a busy server send a message; no more is asked of those than needed.
    rare = [command for command in commands if type(command) is not SendMessage]
    if any(isinstance(command, RevokeTokens | SweepRevocations) for command in rare):
        batch.lock_revoking()
    posts = [command for command in rare if isinstance(command, PostMessage)]
    new_inboxes = batch.inboxes.missing(key for post in posts for key in post.recipient_keys)
    if new_inboxes or any(isinstance(command, _MAKING) for command in rare):
        batch.lock_creation()
    batch.inboxes.make(new_inboxes)
    batch.lock_owners({command.owner_key for command in rare if isinstance(command, CreateUpload)})
    changes = [command for command in rare if isinstance(command, ChangeMessage)]
    batch.find_homes([change.message_id for change in changes])
    named = {key for command in commands for key in _conversations(batch, command)}
    keys = {key for key in named if key is not None and key != _INBOXES}
    new = [command for command in rare if isinstance(command, CreateConversation)]
    keys |= batch.find_twins(
        [name for name in map(write_conversations.pair, new) if name is not None],
        [name for name in map(write_conversations.once, new) if name is not None],
    )
    keys |= {command.key for command in rare if isinstance(command, BeginImport | EndImport)}
    batch.lock(keys)
    batch.inboxes.lock(
        {key for post in posts for key in post.recipient_keys}
        | {command.user_key for command in rare if isinstance(command, _OF_ONE_INBOX)}
    )
    files = {id for command in commands for id in write_attachments.touched(command)}
    for change in changes:
        if isinstance(change, ForwardMessage | RecallMessage):
            files.update(batch.files(change.message_id))
    batch.lock_files(files)


def _conversations(batch: Batch, command: Command) -> tuple[str | None, ...]:
    """The conversations that a command speaks of; of several without any the order is kept."""
    if type(command) is SendMessage:
        return (command.conversation_key,)
    if isinstance(command, InboxCommand):
        return (_INBOXES,)
    if isinstance(command, _NOWHERE):
        return (None,)
    if isinstance(command, ForwardMessage):
        return (batch.home(command.message_id), *command.conversation_keys)
    if isinstance(command, ChangeMessage):
        return (batch.home(command.message_id),)
    if isinstance(command, CreateConversation):
        return (command.key,)
    return (command.conversation_key,)


def _stages(batch: Batch, commands: list[Command]) -> list[tuple[type, list[int]]]:
    """The commands by their places in the list, gathered by kind so far as that changes nothing
    for any conversation."""
    # Who connects changes no conversation, and marks need the devices: so that comes first.
    stages: list[tuple[type, list[int]]] = [(TouchDevice, [])]
    reached: dict[str | None, int] = {}
    for number, command in enumerate(commands):
        kind = type(command) if type(command) in _GROUPED else object
        keys = _conversations(batch, command)
        first = reached.get(keys[0], 0)
        if len(keys) > 1:
            first = max(reached.get(key, 0) for key in keys)
        for at in range(first, len(stages)):
            if stages[at][0] is kind:
                break
        else:
            at = len(stages)
            stages.append((kind, []))
        stages[at][1].append(number)
        for key in keys:
            reached[key] = at
    return stages


def _each(batch: Batch, commands: list[Any]) -> list[Outcome]:
    outcomes = []
    for command in commands:
        try:
            outcome = _SINGLE[type(command)](batch, command)
        except AnmeiError as error:
            outcome = Outcome(error=error)
        outcomes.append(outcome)
    return outcomes


def _internal(command: Command, error: Exception) -> AnmeiError:
    # One line and no values: they may be somebody's message.
    log.error("%s failed: %s", type(command).__name__, type(error).__name__)
    return AnmeiError(ErrorCode.INTERNAL, "the database refused a value of this request")


#: Those that speak of no conversation.
_NOWHERE = TouchDevice | RevokeTokens | SweepRevocations | SweepAudit | FileCommand
#: Those that make conversations or users.
_MAKING = CreateConversation | AddParticipants | BeginImport | ImportPeople | EndImport
_OF_ONE_INBOX = MarkInbox | RemoveFromInbox

#: What stands for all inboxes where an order is kept: commands of them keep theirs. No
#: conversation has such a key.
_INBOXES = "!inbox"

#: Those that are executed many at once, and those one by one.
_GROUPED: dict[type, Callable[[Batch, list[Any]], list[Outcome]]] = {
    SendMessage: write_messages.send,
    MoveMarks: write_marks.move,
    SetPreference: write_preferences.change,
    TouchDevice: write_people.touch,
}
_SINGLE: dict[type, Callable[[Batch, Any], Outcome]] = {
    CreateConversation: write_conversations.create,
    AddParticipants: write_conversations.add,
    RemoveParticipant: write_conversations.remove,
    EditMessage: write_changes.edit,
    RecallMessage: write_changes.recall,
    PinMessage: write_changes.pin,
    React: write_reactions.react,
    ForwardMessage: write_forwards.forward,
    SweepAudit: write_audit.sweep,
    RevokeTokens: write_revocations.revoke,
    SweepRevocations: write_revocations.sweep,
    SetPreview: write_previews.set_preview,
    BeginImport: write_transfer.begin,
    ImportPeople: write_transfer.people,
    ImportMessages: write_transfer.messages,
    EndImport: write_transfer.end,
    **write_attachments.SINGLE,
    PostMessage: write_inbox.post,
    MarkInbox: write_inbox.mark,
    RemoveFromInbox: write_inbox.remove,
}
