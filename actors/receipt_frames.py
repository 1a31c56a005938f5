"""What the frames of a user's devices do to the receipt marks: one function a frame type."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actors.device import Device
from anmei import frames
from anmei.clock import now_ms
from anmei.commands import MoveMarks, Outcome
from anmei.commands_inbox import MarkInbox
from anmei.errors import AnmeiError, ErrorCode

if TYPE_CHECKING:
    from actors.user import UserActor


def delivered(user: "UserActor", device: Device, id: str | None, data: frames.Delivered) -> None:
    _move(user, device, id, data, read=False)


def mark_read(user: "UserActor", device: Device, id: str | None, data: frames.MarkRead) -> None:
    _move(user, device, id, data, read=True)


def _move(
    user: "UserActor",
    device: Device,
    id: str | None,
    data: frames.Delivered | frames.MarkRead,
    *,
    read: bool,
) -> None:
    if (data.seq is None) == (data.message_ids is None):
        raise AnmeiError(ErrorCode.BAD_REQUEST, "give either seq or message_ids")
    if data.conversation_id is None:
        _mark_inbox(user, device, id, data, read=read)
        return
    key = user.place(device, data.conversation_id)
    command = MoveMarks(
        conversation_key=key,
        user_key=user.key,
        read=read,
        at=now_ms(),
        seq=data.seq,
        message_ids=tuple(data.message_ids or ()),
        device_id=device.device_id,
    )

    def moved(reply: dict[str, Any]) -> dict[str, Any]:
        # What the user has on any device: by ids it may be more than this one has said.
        seq = reply["seq"] if data.seq is None else min(data.seq, reply["seq"])
        device.acknowledged(key, seq)
        return reply

    user.write(device, id, command, moved)


def _mark_inbox(
    user: "UserActor",
    device: Device,
    id: str | None,
    data: frames.Delivered | frames.MarkRead,
    *,
    read: bool,
) -> None:
    command = MarkInbox(
        user_key=user.inbox(device),
        read=read,
        at=now_ms(),
        seq=data.seq,
        message_ids=tuple(data.message_ids or ()),
        device_id=device.device_id,
    )

    def done(outcome: Outcome) -> None:
        reply = outcome.reply or {}
        if outcome.error is not None:
            user.refuse(device, id, outcome.error)
        elif reply.pop("more"):
            user.router.archive.submit(command, done)  # so many are not marked in one transaction
        else:
            user.acknowledge(device, id, reply)

    user.router.archive.submit(command, done)


HANDLERS: dict[str, Callable[..., None]] = {
    "delivered": delivered,
    "mark_read": mark_read,
}
