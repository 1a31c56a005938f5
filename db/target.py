"""The message that a command changes, and what comes of changing it."""

from typing import Any

import msgspec

from anmei.commands import Change, Outcome
from anmei.commands_changes import ChangeMessage
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.ids import id_of, tenant_of
from db import shapes, write_audit
from db.batch import Batch, Place
from db.link import execute, fetch


class Target(msgspec.Struct):
    """A message of a conversation that is locked."""

    pk: int
    place: Place
    sender_key: str
    #: Milliseconds since 1970.
    created_at: int
    #: As the wire shows it.
    message: dict[str, Any]

    @property
    def recalled(self) -> bool:
        return self.message["recalled_at"] is not None

    def refuse_recalled(self) -> None:
        """Raises AnmeiError (CONFLICT) where nothing can be done to the message any more."""
        if self.recalled:
            raise AnmeiError(ErrorCode.CONFLICT, "the message was recalled")


def find(batch: Batch, command: ChangeMessage) -> Target:
    """The command's message. Raises AnmeiError (NOT_FOUND) where there is none, or none for the
    eyes of whoever asks."""
    key = batch.home(command.message_id)
    place = None if key is None else batch.place(key)
    if (
        place is None
        or tenant_of(command.by_key) != place.tenant
        or command.only not in (None, place.key)
        or (command.as_member and not batch.insiders([(place, command.by_key)]))
    ):
        raise not_found("message")
    ((pk, sender_key, created_at, *row),) = fetch(
        batch.database,
        f"SELECT m.pk, m.sender_key, m.created_at, {shapes.of('m')} FROM messages AS m"
        " WHERE m.id = %s",
        (command.message_id,),
    )
    message = shapes.message(tuple(row), id_of(place.key))
    return Target(pk, place, sender_key, created_at, message)


def change(
    batch: Batch, target: Target, command: ChangeMessage, action: str, **columns: Any
) -> Outcome:
    """Write `columns` of the message under the conversation's next number, and who did it."""
    place = target.place
    columns["change_seq"] = place.take_number()
    batch.changed(place)
    execute(
        batch.database,
        f"UPDATE messages SET {', '.join(f'{name} = %s' for name in columns)} WHERE pk = %s",
        (*columns.values(), target.pk),
    )
    write_audit.note(batch, command, action, place, place.change_seq)
    (row,) = fetch(
        batch.database,
        f"SELECT {shapes.MESSAGE_COLUMNS} FROM messages WHERE pk = %s",
        (target.pk,),
    )
    return told(batch, place, shapes.message(row, id_of(place.key)))


def told(batch: Batch, place: Place, message: dict[str, Any]) -> Outcome:
    """The outcome of a message that is now as it was asked to be. It is handed out whether or not
    it changed: who changed it first may have died before he told anybody."""
    number, type, data = shapes.message_change(message)
    return Outcome(
        reply={"message": message},
        changes=(Change(place.key, number, type, data, batch.audience(place)),),
    )
