"""What can be done to a message after it was sent."""

import msgspec


class ChangeMessage(msgspec.Struct, kw_only=True):
    """What the commands below share. Reply: `{"message": {…}}`, the message as it is then.

    A message that is not there, is in another tenant, or is in a conversation that `by_key` is not
    in, is `not_found`. What is so already is changed by nobody: it takes no number, and the reply
    and the change that is handed out are those of the message as it is. So each command can be
    repeated after an attempt whose end nobody knows.
    """

    message_id: str
    #: The user in whose name it is done, and the service that does it, where one does.
    by_key: str
    agent_key: str | None = None
    at: int
    #: False: `by_key` need not be in the conversation.
    as_member: bool = True
    #: May do what the owner of a conversation may.
    moderator: bool = False
    #: The one conversation that the asker may speak of, by its key.
    only: str | None = None


class EditMessage(ChangeMessage, kw_only=True):
    """Give a message another text, and with `mentions` other mentions; its sender alone may,
    within `window` ms of sending it (0: at any time), and not once it is recalled (`conflict`)."""

    content: str
    mentions: tuple[str, ...] | None = None
    window: int = 0


class RecallMessage(ChangeMessage, kw_only=True):
    """Take a message back: nothing of what it said is kept (`db.scrub`). Its sender may within
    `window` ms (0: at any time), the owner of the conversation, unless it is `direct`, and
    moderators at any time."""

    window: int = 0


class React(ChangeMessage, kw_only=True):
    """Put an emoji under a message, or (`on` false) take one's own away. At most `MAX_OWN_EMOJIS`
    of one user and `MAX_EMOJIS` different ones under one message; more are `too_large`."""

    emoji: str
    on: bool = True


class PinMessage(ChangeMessage, kw_only=True):
    """Pin a message, or (`on` false) take it down; at most `MAX_PINS` in one conversation, more
    are `too_large`. In a `system` conversation its owner and moderators alone may."""

    on: bool = True


class ForwardMessage(ChangeMessage, kw_only=True):
    """Send what a message says to other conversations, all of them or none, one message each.
    Reply: `{"messages": [{…}…], "duplicates": [bool…]}`, in the order of `conversation_keys`.

    `by_key` must be in all of them, unless `as_member` is false. A recalled message is a
    `conflict`. The same `client_msg_id` again gives the same messages (see `SendMessage`), also
    once the message was recalled.
    """

    by_name: str
    conversation_keys: tuple[str, ...]
    #: One for each conversation.
    message_ids: tuple[str, ...]
    client_msg_id: str


class SweepAudit(msgspec.Struct):
    """Remove the audit rows from before `before`, the oldest first and `most` at once. Reply:
    `{"removed": n}`."""

    before: int
    most: int = 1_000


MAX_EMOJIS = 20
MAX_OWN_EMOJIS = 10
MAX_PINS = 50
