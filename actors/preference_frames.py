"""What the frames of a user's devices set for a conversation: one function a frame type."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actors.device import Device
from anmei import frames
from anmei.clock import now_ms
from anmei.commands_preferences import SetPreference, muted_until
from anmei.content import check_content

if TYPE_CHECKING:
    from actors.user import UserActor


def mute_conversation(
    user: "UserActor", device: Device, id: str | None, data: frames.MuteConversation
) -> None:
    at = now_ms()
    until = muted_until(data.on, data.seconds, at)
    _set(user, device, id, data.conversation_id, at, muted_until=until)


def pin_conversation(
    user: "UserActor", device: Device, id: str | None, data: frames.PinConversation
) -> None:
    _set(user, device, id, data.conversation_id, now_ms(), pinned=data.on)


def save_draft(user: "UserActor", device: Device, id: str | None, data: frames.SaveDraft) -> None:
    check_content(data.text, frames.MAX_DRAFT_BYTES, "text")
    at = now_ms()
    _set(
        user,
        device,
        id,
        data.conversation_id,
        at,
        draft=data.text,
        written_at=at - data.age_ms,
    )


def _set(
    user: "UserActor", device: Device, id: str | None, conversation_id: str, at: int, **more: Any
) -> None:
    command = SetPreference(
        user_key=user.key, conversation_key=user.place(device, conversation_id), at=at, **more
    )
    user.write(device, id, command, lambda reply: reply["preference"])


HANDLERS: dict[str, Callable[..., None]] = {
    "mute_conversation": mute_conversation,
    "pin_conversation": pin_conversation,
    "save_draft": save_draft,
}
