"""Frames that are kept nowhere: who is there, looks, types. One function a frame type."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from actors.device import Device
from anmei import frames
from anmei.codec import encode_pong
from anmei.errors import AnmeiError, ErrorCode
from anmei.event import Event

if TYPE_CHECKING:
    from actors.user import UserActor


def ping(user: "UserActor", device: Device, id: str | None, data: bytes) -> None:
    device.push_now(Event(encode_pong(id, data)))


def typing(user: "UserActor", device: Device, id: str | None, data: frames.Typing) -> None:
    key = user.seat(device, data.conversation_id)
    event = {
        "conversation_id": data.conversation_id,
        "user_id": device.principal.user_id,
        "name": device.principal.name,
        "is_typing": data.is_typing,
    }
    user.router.whisper(device, key, "typing", event)
    user.acknowledge(device, id, {})


def _look_at(
    user: "UserActor",
    device: Device,
    id: str | None,
    data: frames.JoinSession | frames.LeaveSession,
    *,
    joined: bool,
) -> None:
    key = user.seat(device, data.conversation_id)
    user.router.look_at(device, key, joined=joined)
    user.acknowledge(device, id, {})


def set_status(user: "UserActor", device: Device, id: str | None, data: frames.SetStatus) -> None:
    agreement = user.router.agreement
    agreement.set_status(user, data.status)
    user.write(device, id, agreement.status_command(user, data.status), None)


def authenticate(
    user: "UserActor", device: Device, id: str | None, data: frames.Authenticate
) -> None:
    raise AnmeiError(
        ErrorCode.BAD_REQUEST,
        "this connection is authenticated; refresh_token takes a newer one",
    )


HANDLERS: dict[str, Callable[..., None]] = {
    "ping": ping,
    "typing": typing,
    "join_session": partial(_look_at, joined=True),
    "leave_session": partial(_look_at, joined=False),
    "set_status": set_status,
    "authenticate": authenticate,
}
