"""Forwarding: what a message says, sent to other conversations."""

from anmei.codec import encode
from anmei.commands import Outcome, SendMessage
from anmei.commands_changes import ForwardMessage
from anmei.errors import AnmeiError, ErrorCode
from db import write_audit, write_messages
from db.batch import Batch
from db.link import fetch_many
from db.target import Target, find


def forward(batch: Batch, command: ForwardMessage) -> Outcome:
    target = find(batch, command)
    if target.message["message_type"] == "system" and command.as_member:
        raise AnmeiError(ErrorCode.FORBIDDEN, "only a service sends `system` messages on")
    # Looked up where it matters: once recalled it is not sent anew, and a batch that is repeated
    # writes down nothing twice.
    done = (target.recalled or batch.again) and _all_sent(batch, command)
    if not done:
        target.refuse_recalled()
    sends = [
        _copy(target, command, key, message_id)
        for key, message_id in zip(command.conversation_keys, command.message_ids, strict=True)
    ]
    outcomes = write_messages.send(batch, sends, together=True)
    for outcome in outcomes:
        if outcome.error is not None:
            return Outcome(error=outcome.error)
    replies = [outcome.reply or {} for outcome in outcomes]
    if not done and not all(reply["duplicate"] for reply in replies):
        write_audit.note(batch, command, "forward", target.place, None)
    return Outcome(
        reply={
            "messages": [reply["message"] for reply in replies],
            "duplicates": [reply["duplicate"] for reply in replies],
        },
        changes=tuple(change for outcome in outcomes for change in outcome.changes),
    )


def _all_sent(batch: Batch, command: ForwardMessage) -> bool:
    """Whether this was done already, when the message could still be read."""
    rows = fetch_many(
        batch.database,
        "WITH w (key, sender_key, client_msg_id) AS (VALUES {values})"
        " SELECT 1 FROM w CROSS JOIN conversations AS c CROSS JOIN messages AS m"
        " WHERE c.key = w.key AND m.conversation = c.pk AND m.sender_key = w.sender_key"
        " AND m.client_msg_id = w.client_msg_id",
        [(key, command.by_key, command.client_msg_id) for key in command.conversation_keys],
    )
    return len(rows) == len(command.conversation_keys)


def _copy(target: Target, command: ForwardMessage, key: str, message_id: str) -> SendMessage:
    message = target.message
    # A forward of a forward still names who said it. Where from is said to those who know of that
    # conversation alone: the people of the same one.
    origin = message["forwarded_from"] or {
        "message_id": message["id"],
        "conversation_id": message["conversation_id"],
        "sender_name": message["sender_name"],
    }
    if key != target.place.key:
        origin = {**origin, "conversation_id": None}
    metadata, body = message["extra_metadata"], message.get("body")
    return SendMessage(
        conversation_key=key,
        sender_key=command.by_key,
        sender_name=command.by_name,
        message_id=message_id,
        client_msg_id=command.client_msg_id,
        content=message["content"],
        created_at=command.at,
        message_type=message["message_type"],
        extra_metadata=None if metadata is None else encode(metadata).decode(),
        body=None if body is None else encode(body).decode(),
        forwarded_from=encode(origin).decode(),
        as_member=command.as_member,
    )
