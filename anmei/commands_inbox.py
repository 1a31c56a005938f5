"""What can be asked of the store about inboxes."""

import msgspec


class PostMessage(msgspec.Struct):
    """Put a message into the inboxes of users, whether or not anybody has heard of them. Reply:
    `{"message": {…}, "recipient_count", "duplicate": bool}`.

    The same (sender, client_msg_id) again replies with the stored message and `duplicate: true`,
    whatever else it says, and hands the message out again, as `SendMessage` does.
    """

    message_id: str
    sender_key: str
    sender_name: str
    client_msg_id: str
    content: str
    created_at: int
    recipient_keys: tuple[str, ...]
    title: str | None = None
    category: str | None = None
    message_type: str = "text"
    sender_type: str = "system"
    is_important: bool = False
    priority: str = "normal"
    #: JSON text, or None.
    extra_metadata: str | None = None
    #: JSON text as `bodies.check_body` makes it, or None.
    body: str | None = None


class MarkInbox(msgspec.Struct):
    """Note that messages of an inbox were delivered, or, with `read`, read: all up to `seq`, or
    those of `message_ids` that are in it.

    It takes `most` of them at a time. Reply: `{"conversation_id": None, "seq", "unread",
    "last_seq", "more"}`: up to where all are now, what is unread, the inbox's last number, and
    whether some are left, for which it is to be asked again. `device_id` moves that device's own
    place as well.
    """

    user_key: str
    read: bool
    at: int
    seq: int | None = None
    message_ids: tuple[str, ...] = ()
    device_id: str | None = None
    most: int = 10_000


class RemoveFromInbox(msgspec.Struct):
    """Take a message out of an inbox. Reply: `{"message_id", "unread"}`; one that is not in it is
    `not_found`, and one that was taken out already changes nothing."""

    user_key: str
    message_id: str
    at: int


InboxCommand = PostMessage | MarkInbox | RemoveFromInbox
