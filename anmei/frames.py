"""Every frame a client may send, as typed structs.

A frame is `{"type": T, "id"?: "r1", "data": {…}}`. The structs below are the `data` of each type;
`codec.decode` turns bytes into a `Frame`. What a value may be is said here once; the codec, the
HTTP API (the same structs read its bodies) and the documents follow from it.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from anmei.ids import CLIENT_ID_PATTERN, ID_PATTERN, MENTION_PATTERN

MAX_SEQ = 2**53 - 1  # the largest whole number that every JSON reader keeps exactly
MAX_MESSAGE_IDS = 500
MAX_POSITIONS = 5_000
MAX_DRAFT_BYTES = 4_096
MAX_MUTE_SECONDS = 366 * 86_400
MAX_AGE_MS = 31 * 86_400_000
MAX_MENTIONS = 50
MAX_FORWARDS = 20

Id = Annotated[str, Meta(pattern=ID_PATTERN)]
ClientId = Annotated[str, Meta(pattern=CLIENT_ID_PATTERN)]
#: Somebody's id, or everybody.
Mention = Annotated[str, Meta(pattern=MENTION_PATTERN)]
Mentions = Annotated[list[Mention], Meta(max_length=MAX_MENTIONS)]
Seq = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
MuteSeconds = Annotated[int, Meta(ge=1, le=MAX_MUTE_SECONDS)]
Age = Annotated[int, Meta(ge=0, le=MAX_AGE_MS)]
Limit = Annotated[int, Meta(ge=1, le=200)]
Priority = Literal["low", "normal", "high", "urgent"]
MessageType = Literal["text", "image", "file", "voice", "card", "system"]
Status = Literal["online", "away", "busy", "dnd"]


class Authenticate(msgspec.Struct, tag="authenticate"):
    """The token, as first frame, from a client that could present it in no other way."""

    token: str


class SendMessage(msgspec.Struct, tag="send_message"):
    """A new message; the same `client_msg_id` again gives the same message and `seq`."""

    conversation_id: Id
    content: str
    client_msg_id: ClientId
    message_type: MessageType = "text"
    reply_to: Id | None = None
    is_important: bool = False
    priority: Priority = "normal"
    #: JSON still, of a size that was checked; `codec.check_metadata` reads it.
    extra_metadata: msgspec.Raw = msgspec.Raw(b"null")
    #: The same; `bodies.check_body` reads it.
    body: msgspec.Raw = msgspec.Raw(b"null")
    mentions: Mentions = []


class EditMessage(msgspec.Struct, tag="edit_message"):
    """Another text for a message of one's own; without `mentions` those stay."""

    message_id: Id
    content: str
    mentions: Mentions | None = None


class RecallMessage(msgspec.Struct, tag="recall_message"):
    """Takes a message back."""

    message_id: Id


class React(msgspec.Struct, tag="react"):
    """Puts an emoji under a message, or takes it away."""

    message_id: Id
    emoji: str
    on: bool = True


class ForwardMessage(msgspec.Struct, tag="forward_message"):
    """Sends what a message says to other conversations, one message each."""

    message_id: Id
    conversation_ids: Annotated[list[Id], Meta(min_length=1, max_length=MAX_FORWARDS)]
    client_msg_id: ClientId | None = None


class PinMessage(msgspec.Struct, tag="pin_message"):
    """Pins a message in its conversation, or takes it down."""

    message_id: Id
    on: bool = True


class Sync(msgspec.Struct, tag="sync"):
    """Where this client stands in each conversation: the highest `change_seq` it holds."""

    positions: Annotated[dict[Id, Seq], Meta(max_length=MAX_POSITIONS)]
    inbox: Seq | None = None
    #: The highest `seq` of a preference that it holds.
    preferences: Seq | None = None


class History(msgspec.Struct, tag="history"):
    """A page of a conversation, ascending: before, or after, a `seq`; the newest without either."""

    conversation_id: Id
    before_seq: Seq | None = None
    after_seq: Seq | None = None
    limit: Limit = 50


class Delivered(msgspec.Struct, tag="delivered"):
    """This device holds everything up to `seq` (or up to the highest of `message_ids`); without a
    conversation, in the inbox."""

    conversation_id: Id | None
    seq: Seq | None = None
    message_ids: Annotated[list[Id], Meta(max_length=MAX_MESSAGE_IDS)] | None = None


class MarkRead(msgspec.Struct, tag="mark_read"):
    """The user has read everything up to `seq` (or up to the highest of `message_ids`); without a
    conversation, in the inbox, where `message_ids` are those alone."""

    conversation_id: Id | None
    seq: Seq | None = None
    message_ids: Annotated[list[Id], Meta(max_length=MAX_MESSAGE_IDS)] | None = None


class Typing(msgspec.Struct, tag="typing"):
    """The user began or stopped to type."""

    conversation_id: Id
    is_typing: bool = True


class JoinSession(msgspec.Struct, tag="join_session"):
    """This device is looking at the conversation now."""

    conversation_id: Id


class LeaveSession(msgspec.Struct, tag="leave_session"):
    """This device no longer looks at the conversation."""

    conversation_id: Id


class SetStatus(msgspec.Struct, tag="set_status"):
    """What the user wants to be shown as while online."""

    status: Status


class MuteConversation(msgspec.Struct, tag="mute_conversation"):
    """The user wants no notice of a conversation: for so many seconds, or until it is undone."""

    conversation_id: Id
    on: bool = True
    seconds: MuteSeconds | None = None


class PinConversation(msgspec.Struct, tag="pin_conversation"):
    """The user wants a conversation at the top of the list, or no longer."""

    conversation_id: Id
    on: bool = True


class SaveDraft(msgspec.Struct, tag="save_draft"):
    """What the user has begun to write, `age_ms` ago; an empty text gives it up."""

    conversation_id: Id
    text: str
    age_ms: Age = 0


class RefreshToken(msgspec.Struct, tag="refresh_token"):
    """A newer token of the same user for this connection."""

    token: str


class Ping(msgspec.Struct, tag="ping"):
    """Asks for a `pong` with the same data; whatever stands in `data` is handed back."""


Payload = (
    Authenticate
    | SendMessage
    | EditMessage
    | RecallMessage
    | React
    | ForwardMessage
    | PinMessage
    | Sync
    | History
    | Delivered
    | MarkRead
    | Typing
    | JoinSession
    | LeaveSession
    | SetStatus
    | MuteConversation
    | PinConversation
    | SaveDraft
    | RefreshToken
    | Ping
)

PAYLOADS: dict[str, type[msgspec.Struct]] = {
    struct.__struct_config__.tag: struct for struct in Payload.__args__
}


class Frame(msgspec.Struct):
    """A frame as it was read."""

    type: str
    #: The client's own id for this request, or None when it wants no answer.
    id: str | None
    data: Any
