"""Appending messages: all of a batch with one look for repeats and one insert."""

from typing import Any

from anmei.commands import Change, Outcome, SendMessage
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.ids import id_of, tenant_of
from db import mentions, shapes, write_attachments
from db.batch import Batch, Place
from db.link import Row, fetch_many, insert_many

_INSERT = (
    f"INSERT INTO messages ({shapes.MESSAGE_COLUMNS}, conversation, sender_key) VALUES {{values}}"
)

_REPEATS = (
    "WITH w (conversation, sender_key, client_msg_id) AS (VALUES {values})"
    f" SELECT w.conversation, w.sender_key, {shapes.of('m')} FROM w CROSS JOIN messages AS m"
    " WHERE m.conversation = w.conversation AND m.sender_key = w.sender_key"
    " AND m.client_msg_id = w.client_msg_id"
)

#: Which message a sender means: (conversation, sender, client_msg_id).
_Name = tuple[int, str, str]


def send(batch: Batch, commands: list[SendMessage], *, together: bool = False) -> list[Outcome]:
    """Execute the commands in order; their conversations are locked. With `together` all of them,
    or, where one is refused, none; they reply to nothing and mention nobody."""
    outcomes: list[Outcome] = [Outcome()] * len(commands)
    named: list[tuple[int, SendMessage, Place, _Name]] = []
    for number, command in enumerate(commands):
        place = batch.place(command.conversation_key)
        error = _misfit(place, command)
        if error is not None or place is None:
            outcomes[number] = Outcome(error=error)
        else:
            name = (place.pk, command.sender_key, command.client_msg_id)
            named.append((number, command, place, name))
    # Before anybody is refused: what is stored was accepted, wherever its sender is by now.
    known = _repeats(batch, [name for _, _, _, name in named])
    inside = batch.insiders(
        (place, command.sender_key)
        for _, command, place, name in named
        if command.as_member and name not in known
    )
    allowed = []
    for job in named:
        number, command, place, name = job
        error = None if name in known else _refusal(place, command, inside)
        if error is None:
            allowed.append(job)
        else:
            outcomes[number] = Outcome(error=error)
    if together and len(allowed) < len(commands):
        return [each if each.error else Outcome() for each in outcomes]
    # Only now: a large audience is not read for a stranger.
    batch.load_audiences({place.pk: place for _, _, place, _ in allowed})
    files = write_attachments.allowed(
        batch.database, (ask for _, command, _, _ in allowed for ask in _asks(command))
    )
    if together and any(
        name not in known and not files.issuperset(_asks(command))
        for _, command, _, name in allowed
    ):
        return [Outcome(error=not_found("attachment"))] * len(commands)
    carried: list[tuple[str, str]] = []
    targets = _reply_targets(batch, [command for _, command, _, _ in allowed])
    rows: list[Row] = []
    for number, command, place, name in allowed:
        message = known.get(name)
        if message is not None:
            # The same id is the same attempt: its COMMIT landed, only the answer was lost.
            duplicate = message["id"] != command.message_id
        elif (error := _misleading(batch, place, command, targets)) is not None:
            outcomes[number] = Outcome(error=error)
            continue
        elif not files.issuperset(_asks(command)):
            outcomes[number] = Outcome(error=not_found("attachment"))
            continue
        else:
            duplicate = False
            carried += ((command.message_id, id) for _, _, id in _asks(command))
            row = _number(place, command)
            rows.append(row)
            batch.changed(place)
            message = known[name] = shapes.message(row, id_of(place.key))
            targets[command.message_id] = place.pk
        outcomes[number] = _sent(batch, place, message, duplicate)
    insert_many(batch.database, _INSERT, rows)
    write_attachments.link(batch.database, carried)
    return outcomes


def _asks(command: SendMessage) -> list[write_attachments.Ask]:
    """The files that a message is to carry, and who says so."""
    if command.body is None:
        return []
    return [
        (command.sender_key, command.as_member, id) for id in write_attachments.named_by(command)
    ]


def _misfit(place: Place | None, command: SendMessage) -> AnmeiError | None:
    """Why no such message can ever have been stored."""
    if place is None:
        return not_found("conversation")
    if "\0" in command.content or "\0" in command.sender_name:
        # PostgreSQL keeps no such text, so neither database is given any.
        return AnmeiError(ErrorCode.BAD_REQUEST, "content: a NUL character is not allowed")
    if not command.as_member and tenant_of(command.sender_key) != place.tenant:
        # A service speaks in its own tenant alone, whatever it says.
        return not_found("conversation")
    return None


def _refusal(place: Place, command: SendMessage, inside: set[tuple[int, str]]) -> AnmeiError | None:
    """Why a message that is new is not taken."""
    if not command.as_member:
        return None
    if (place.pk, command.sender_key) not in inside:
        return not_found("conversation")
    if place.kind == "system":
        return AnmeiError(ErrorCode.FORBIDDEN, "only services send into a system conversation")
    return None


def _repeats(batch: Batch, names: list[_Name]) -> dict[_Name, dict[str, Any]]:
    """Those of the messages that are stored already."""
    ids = {place.pk: id_of(place.key) for place in batch.places()}
    return {
        (row[0], row[1], row[14]): shapes.message(row[2:], ids[row[0]])
        for row in fetch_many(batch.database, _REPEATS, list(dict.fromkeys(names)))
    }


def _misleading(
    batch: Batch, place: Place, command: SendMessage, targets: dict[str, int]
) -> AnmeiError | None:
    """What is wrong with the messages and people that a new message names."""
    if command.reply_to is not None and targets.get(command.reply_to) != place.pk:
        return AnmeiError(
            ErrorCode.BAD_REQUEST,
            "reply_to: expected the id of a message of the same conversation, got "
            + ascii(command.reply_to[:64]),
        )
    if not command.mentions:
        return None
    everybody = not command.as_member or command.sender_key == place.owner_key
    return mentions.misfit(batch, place, command.mentions, everybody)


def _reply_targets(batch: Batch, commands: list[SendMessage]) -> dict[str, int]:
    """The conversations of the messages that are replied to."""
    wanted = {command.reply_to for command in commands if command.reply_to is not None}
    return dict(
        fetch_many(
            batch.database,
            "SELECT id, conversation FROM messages WHERE id IN ({values})",
            sorted(wanted),
        )
    )


def _number(place: Place, command: SendMessage) -> Row:
    """The row of a new message, with the next number of its conversation."""
    seq = place.last_seq = place.take_number()
    place.updated_at = max(place.updated_at, command.created_at)
    return (
        command.message_id,
        seq,
        seq,
        id_of(command.sender_key),
        command.sender_name,
        command.sender_type,
        command.message_type,
        command.content,
        command.is_important,
        command.priority,
        command.reply_to,
        command.extra_metadata,
        command.client_msg_id,
        command.created_at,
        None,
        None,
        mentions.text(command.mentions),
        command.forwarded_from,
        None,
        None,
        None,
        command.body,
        None,
        place.pk,
        command.sender_key,
    )


def _sent(batch: Batch, place: Place, message: dict[str, Any], duplicate: bool) -> Outcome:
    change_seq, type, data = shapes.message_change(message)
    return Outcome(
        reply={"message": message, "duplicate": duplicate},
        changes=(Change(place.key, change_seq, type, data, batch.audience(place)),),
    )
