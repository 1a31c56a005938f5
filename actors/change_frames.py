"""What the frames of a user's devices do to messages that were sent: one function a frame type."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.device import Device
from actors.message_frames import sent
from anmei import frames
from anmei.clock import now_ms
from anmei.commands_changes import (
    EditMessage,
    ForwardMessage,
    PinMessage,
    React,
    RecallMessage,
)
from anmei.content import check_content, check_emoji
from anmei.ids import new_id

if TYPE_CHECKING:
    from actors.user import UserActor


def edit_message(
    user: "UserActor", device: Device, id: str | None, data: frames.EditMessage
) -> None:
    settings = user.router.settings
    check_content(data.content, settings.limit_content_bytes)
    command = EditMessage(
        **_asked(device, data.message_id),
        content=data.content,
        mentions=None if data.mentions is None else tuple(data.mentions),
        window=settings.edit_window,
    )
    user.write(device, id, command, _changed)


def recall_message(
    user: "UserActor", device: Device, id: str | None, data: frames.RecallMessage
) -> None:
    window = user.router.settings.recall_window
    user.write(
        device, id, RecallMessage(**_asked(device, data.message_id), window=window), _changed
    )


def react(user: "UserActor", device: Device, id: str | None, data: frames.React) -> None:
    check_emoji(data.emoji)
    command = React(**_asked(device, data.message_id), emoji=data.emoji, on=data.on)
    user.write(device, id, command, _changed)


def pin_message(user: "UserActor", device: Device, id: str | None, data: frames.PinMessage) -> None:
    user.write(device, id, PinMessage(**_asked(device, data.message_id), on=data.on), _changed)


def forward_message(
    user: "UserActor", device: Device, id: str | None, data: frames.ForwardMessage
) -> None:
    keys = tuple(dict.fromkeys(user.place(device, each) for each in data.conversation_ids))
    command = ForwardMessage(
        **_asked(device, data.message_id),
        by_name=device.principal.name,
        conversation_keys=keys,
        message_ids=tuple(new_id("msg") for _ in keys),
        client_msg_id=data.client_msg_id or new_id("auto"),
    )
    user.write(device, id, command, partial(_forwarded, user))


def _asked(device: Device, message_id: str) -> dict[str, Any]:
    principal = device.principal
    return {
        "message_id": message_id,
        "by_key": principal.key,
        "at": now_ms(),
        "moderator": principal.is_admin,
        "only": device.only,
    }


def _changed(reply: dict[str, Any]) -> dict[str, Any]:
    message = reply["message"]
    return {
        "message_id": message["id"],
        "conversation_id": message["conversation_id"],
        "seq": message["seq"],
        "change_seq": message["change_seq"],
    }


def _forwarded(user: "UserActor", reply: dict[str, Any]) -> dict[str, Any]:
    both = zip(reply["messages"], reply["duplicates"], strict=True)
    return {
        "messages": [
            sent(user, {"message": message, "duplicate": duplicate}) for message, duplicate in both
        ]
    }


HANDLERS: dict[str, Callable[..., None]] = {
    "edit_message": edit_message,
    "recall_message": recall_message,
    "react": react,
    "pin_message": pin_message,
    "forward_message": forward_message,
}
