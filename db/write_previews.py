"""Link previews on their messages."""

from anmei.commands import Change, Outcome
from anmei.commands_previews import SetPreview
from anmei.ids import id_of
from anmei.links import first_link
from db import shapes
from db.batch import Batch
from db.link import execute, fetch


def set_preview(batch: Batch, command: SetPreview) -> Outcome:
    """A change like an edit: the message keeps its seq and takes the next number."""
    place = batch.place(command.conversation_key)
    rows = (
        fetch(
            batch.database,
            "SELECT pk, content, recalled_at, link_preview FROM messages"
            " WHERE id = %s AND conversation = %s",
            (command.message_id, place.pk),
        )
        if place is not None
        else []
    )
    if place is None or not rows:
        return Outcome(reply={"set": False})
    ((pk, content, recalled_at, before),) = rows
    if recalled_at is not None or first_link(content) != command.url:
        return Outcome(reply={"set": False})
    # The same again is the same attempt: its COMMIT landed, only the answer was lost.
    if before != command.preview:
        execute(
            batch.database,
            "UPDATE messages SET link_preview = %s, change_seq = %s WHERE pk = %s",
            (command.preview, place.take_number(), pk),
        )
        batch.changed(place)
    (row,) = fetch(
        batch.database, f"SELECT {shapes.MESSAGE_COLUMNS} FROM messages WHERE pk = %s", (pk,)
    )
    message = shapes.message(row, id_of(place.key))
    change_seq, type, data = shapes.message_change(message)
    return Outcome(
        reply={"set": True},
        changes=(Change(place.key, change_seq, type, data, batch.audience(place)),),
    )
