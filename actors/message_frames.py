"""What the frames of a user's devices do to messages: one function a frame type.

`id` is None where the client wants no answer.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.device import Device
from anmei import frames
from anmei.bodies import check_body
from anmei.clock import now_ms
from anmei.codec import check_metadata
from anmei.commands import SendMessage
from anmei.content import check_content
from anmei.ids import new_id

if TYPE_CHECKING:
    from actors.user import UserActor


def send_message(
    user: "UserActor", device: Device, id: str | None, data: frames.SendMessage
) -> None:
    principal = device.principal
    key = user.place(device, data.conversation_id)
    check_content(data.content, user.router.settings.limit_content_bytes)
    command = SendMessage(
        conversation_key=key,
        sender_key=principal.key,
        sender_name=principal.name,
        message_id=new_id("msg"),
        client_msg_id=data.client_msg_id,
        content=data.content,
        created_at=now_ms(),
        message_type=data.message_type,
        reply_to=data.reply_to,
        is_important=data.is_important,
        priority=data.priority,
        extra_metadata=check_metadata(data.extra_metadata),
        mentions=tuple(data.mentions),
        body=check_body(data.message_type, data.body, privileged=principal.acts_for_others),
    )
    user.write(device, id, command, partial(sent, user))


def sent(user: "UserActor", reply: dict[str, Any]) -> dict[str, Any]:
    """The ack of a message that was sent."""
    message = reply["message"]
    counters = user.router.counters
    counters.messages += 1
    counters.duplicates += reply["duplicate"]
    return {
        "message_id": message["id"],
        "conversation_id": message["conversation_id"],
        "seq": message["seq"],
        "change_seq": message["change_seq"],
        "created_at": message["created_at"],
        "duplicate": reply["duplicate"],
    }


HANDLERS: dict[str, Callable[..., None]] = {
    "send_message": send_message,
}
