"""Short ways to say what tests say often."""

from typing import Any

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
    EditMessage,
    ForwardMessage,
    PinMessage,
    React,
    RecallMessage,
)
from anmei.commands_inbox import MarkInbox, PostMessage
from anmei.ids import new_id
from db.store import Store

NOW = 1_767_323_045_678  # 2026-01-02T03:04:05.678Z


def key(id: str) -> str:
    return f"acme/{id}"


def do(store: Store, *commands: Command) -> list[Outcome]:
    return store.write(list(commands)).result(60)


def reply(store: Store, command: Command) -> dict[str, Any]:
    (outcome,) = do(store, command)
    assert outcome.error is None, outcome.error
    assert outcome.reply is not None
    return outcome.reply


def create(room: str, owner: str, *others: str, kind: str = "group", **more: Any) -> Any:
    more.setdefault("created_at", NOW)
    return CreateConversation(
        key=key(room),
        kind=kind,
        owner_key=key(owner),
        participant_keys=tuple(key(other) for other in others),
        **more,
    )


def send(room: str, sender: str, content: str = "hello", **more: Any) -> SendMessage:
    more.setdefault("message_id", new_id("msg"))
    more.setdefault("client_msg_id", new_id("c"))
    more.setdefault("created_at", NOW + 1_000)
    return SendMessage(
        conversation_key=key(room),
        sender_key=key(sender),
        sender_name=sender.title(),
        content=content,
        **more,
    )


def read(room: str, user: str, seq: int | None = None, **more: Any) -> MoveMarks:
    return MoveMarks(
        conversation_key=key(room), user_key=key(user), read=True, at=NOW, seq=seq, **more
    )


def delivered(room: str, user: str, seq: int | None = None, **more: Any) -> MoveMarks:
    return MoveMarks(
        conversation_key=key(room), user_key=key(user), read=False, at=NOW, seq=seq, **more
    )


def add(room: str, by: str, *users: str, at: int = NOW + 2_000, **more: Any) -> AddParticipants:
    return AddParticipants(
        conversation_key=key(room),
        by_key=key(by),
        user_keys=tuple(key(user) for user in users),
        at=at,
        **more,
    )


def remove(room: str, by: str, user: str, at: int = NOW + 3_000, **more: Any) -> RemoveParticipant:
    return RemoveParticipant(
        conversation_key=key(room), by_key=key(by), user_key=key(user), at=at, **more
    )


def touch(user: str, device: str = "phone", **more: Any) -> TouchDevice:
    more.setdefault("name", user.title())
    more.setdefault("at", NOW)
    return TouchDevice(
        user_key=key(user), device_id=device, device_type=more.pop("device_type", "mobile"), **more
    )


class change:  # it reads like a module
    """What is done to a message that was sent, two seconds after `NOW`."""

    @staticmethod
    def edit(id: str, by: str, content: str, **more: Any) -> EditMessage:
        return EditMessage(**_by(id, by, more), content=content)

    @staticmethod
    def recall(id: str, by: str, **more: Any) -> RecallMessage:
        return RecallMessage(**_by(id, by, more))

    @staticmethod
    def react(id: str, by: str, emoji: str, on: bool = True, **more: Any) -> React:
        return React(**_by(id, by, more), emoji=emoji, on=on)

    @staticmethod
    def pin(id: str, by: str, **more: Any) -> PinMessage:
        return PinMessage(**_by(id, by, more))

    @staticmethod
    def forward(id: str, by: str, *rooms: str, client_msg_id: str = "f1") -> ForwardMessage:
        return ForwardMessage(
            **_by(id, by, {}),
            by_name=by.title(),
            conversation_keys=tuple(key(room) for room in rooms),
            message_ids=tuple(new_id("msg") for _ in rooms),
            client_msg_id=client_msg_id,
        )


def _by(id: str, by: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"message_id": id, "by_key": key(by), "at": NOW + 2_000, **more}


def post(*recipients: str, sender: str = "shop", content: str = "News", **more: Any) -> PostMessage:
    more.setdefault("message_id", new_id("msg"))
    more.setdefault("client_msg_id", new_id("c"))
    more.setdefault("created_at", NOW + 1_000)
    return PostMessage(
        sender_key=key(sender),
        sender_name=sender.title(),
        content=content,
        recipient_keys=tuple(map(key, recipients)),
        **more,
    )


def mark_inbox(user: str, seq: int | None = None, *ids: str, **more: Any) -> MarkInbox:
    more.setdefault("at", NOW + 5_000)
    more.setdefault("read", True)
    return MarkInbox(user_key=key(user), seq=seq, message_ids=ids, **more)
