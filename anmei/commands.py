"""What can be asked of the store, and what it answers: the vocabulary between actors and db.

A command is a plain value that is executed inside the writer's transaction; several share one
(group commit). Its `Outcome` says what to tell the asker and what has changed, in order, so that
whoever executed it can acknowledge first and route then. Keys are `tenant/id` (see `anmei.ids`).
"""

from typing import Any

import msgspec

from anmei.commands_changes import ChangeMessage, SweepAudit
from anmei.commands_files import FileCommand
from anmei.commands_inbox import InboxCommand
from anmei.commands_preferences import SetPreference
from anmei.commands_previews import SetPreview
from anmei.commands_tokens import RevokeTokens, SweepRevocations
from anmei.commands_transfer import TransferCommand
from anmei.errors import AnmeiError

KINDS = ("direct", "group", "consultation", "system")


class Audience(msgspec.Struct, frozen=True):
    """Who is in a conversation, as of one version of its membership.

    The same version of the same conversation always has the same members, so comparing versions
    is enough to know whether a remembered audience still holds.
    """

    version: int
    #: User keys.
    members: frozenset[str]


class Change(msgspec.Struct):
    """One numbered event of one conversation, or of one inbox, committed.

    `type` is the wire type (`new_message`, `message_updated`, `conversation_updated`), `data` its
    data as the wire shows it, with `conversation_id` and `change_seq` in it.
    """

    conversation_key: str
    change_seq: int
    type: str
    data: dict[str, Any]
    audience: Audience
    #: User keys that are no longer in the audience and are told this last event.
    removed: tuple[str, ...] = ()
    #: User keys that this very event lets in, where they are few. Nothing before it is theirs.
    joined: tuple[str, ...] = ()


class Mark(msgspec.Struct):
    """A participant's receipt marks after they moved."""

    conversation_key: str
    user_key: str
    last_delivered_seq: int
    last_read_seq: int
    #: The conversation's last `seq` at that moment.
    last_seq: int
    #: The last number that the conversation had given out, `counted_to` on the wire: a client
    #: takes what has a `change_seq` for an event of that number.
    change_seq: int
    #: Messages of others above `last_read_seq` and up to `last_seq` that nobody has recalled; None
    #: where nothing was read.
    unread: int | None
    #: Keys of the users whose messages the move covered; the reader is never among them.
    senders: frozenset[str]


class Told(msgspec.Struct):
    """What all of one user's devices are told of a conversation: an event without a number."""

    conversation_key: str
    user_key: str
    type: str
    data: dict[str, Any]


class Post(msgspec.Struct):
    """One message that came to the inboxes of several users, committed."""

    #: As the wire shows it, but for what differs from inbox to inbox.
    message: dict[str, Any]
    #: The number that it has in each of them, by user key.
    numbers: dict[str, int]


class Outcome(msgspec.Struct):
    """What came of one command: a reply or an error, never both."""

    reply: dict[str, Any] | None = None
    error: AnmeiError | None = None
    changes: tuple[Change, ...] = ()
    mark: Mark | None = None
    told: tuple[Told, ...] = ()
    post: Post | None = None

    @property
    def news(self) -> bool:
        """Whether anybody else is to be told."""
        return bool(self.changes or self.mark or self.told or self.post)


class SendMessage(msgspec.Struct):
    """Append a message. Reply: `{"message": {…}, "duplicate": bool}`.

    The same (conversation, sender, client_msg_id) again replies with the stored message and
    `duplicate: true`; its change is handed out again too, since the first attempt may have been
    committed by a process that died before routing it. That holds for a sender who was removed
    since, too; what is new from one who is not in the conversation, or for a conversation that is
    not there, gets `not_found`.
    """

    conversation_key: str
    sender_key: str
    sender_name: str
    message_id: str
    client_msg_id: str
    content: str
    created_at: int
    message_type: str = "text"
    sender_type: str = "chat"
    reply_to: str | None = None
    is_important: bool = False
    priority: str = "normal"
    #: JSON text, or None.
    extra_metadata: str | None = None
    #: JSON text as `bodies.check_body` makes it, or None.
    body: str | None = None
    #: Ids of members, or `@all`, which needs the owner of the conversation or `as_member` false.
    mentions: tuple[str, ...] = ()
    #: JSON text of where it was forwarded from, or None.
    forwarded_from: str | None = None
    #: A service or admin may send into a conversation it is not in.
    as_member: bool = True


class MoveMarks(msgspec.Struct):
    """Move a participant's delivered (and, with `read`, read) mark forward; never back.

    `seq` above the conversation's last is taken as the last. With `message_ids` the highest `seq`
    among those that are in this conversation counts. Reply: `{"conversation_id", "seq"}`, where
    `seq` is the mark now, and with `read` also `"unread", "last_seq", "counted_to"` (see `Mark`).
    `device_id` moves that device's own place as well.
    """

    conversation_key: str
    user_key: str
    read: bool
    at: int
    seq: int | None = None
    message_ids: tuple[str, ...] = ()
    device_id: str | None = None


class CreateConversation(msgspec.Struct):
    """Create a conversation. Reply: `{"conversation": {…}, "created": bool}`.

    `direct` needs exactly one participant besides the owner; the same pair again replies with the
    one that exists. The same owner and `idempotency_key` again replies with what it was answered
    first, whatever is asked for with it now. An id that is taken otherwise is a `conflict`. The
    owner is a participant with the role `owner`.
    More than `most` participants are `too_large`, and so is one more for an owner of `most_owned`,
    unless it is `privileged`; 0 is no limit.
    """

    key: str
    kind: str
    owner_key: str
    #: Keys of the others; the owner may be among them.
    participant_keys: tuple[str, ...]
    created_at: int
    title: str | None = None
    idempotency_key: str | None = None
    most: int = 0
    most_owned: int = 0
    privileged: bool = False


class AddParticipants(msgspec.Struct):
    """Add users. Reply: `{"conversation": {…}}`. Needs the owner, or `privileged`; not in `direct`.

    Users who are in already stay as they are. Adding nobody new changes nothing. Adding anybody
    past `most` participants is `too_large` and adds nobody; 0 is no limit.
    """

    conversation_key: str
    by_key: str
    user_keys: tuple[str, ...]
    at: int
    privileged: bool = False
    most: int = 0


class RemoveParticipant(msgspec.Struct):
    """Remove one user, or leave. Reply: `{"conversation": {…}}`.

    Needs the user in question, the owner, or `privileged`. The owner cannot be removed or leave,
    and nobody leaves a `direct` one.
    """

    conversation_key: str
    by_key: str
    user_key: str
    at: int
    privileged: bool = False


class TouchDevice(msgspec.Struct):
    """Note that a user is there and what he is called, and with which device, if any. Reply: `{}`.
    Makes both where they are new. A `status` is what the user wants to be shown as from now on."""

    user_key: str
    name: str
    at: int
    device_id: str | None = None
    device_type: str = "web"
    status: str | None = None


Command = (
    SendMessage
    | ChangeMessage
    | MoveMarks
    | CreateConversation
    | AddParticipants
    | RemoveParticipant
    | TouchDevice
    | SetPreference
    | RevokeTokens
    | SweepRevocations
    | TransferCommand
    | FileCommand
    | InboxCommand
    | SweepAudit
    | SetPreview
)
