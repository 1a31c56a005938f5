"""Messages of a conversation, how far they are read, and what is unread."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from anmei.bodies import check_body
from anmei.clock import now_ms
from anmei.codec import check_metadata
from anmei.commands import MoveMarks, SendMessage
from anmei.content import check_content, check_line
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.frames import MAX_MESSAGE_IDS, ClientId, Id, Limit, Mentions, MessageType, Priority, Seq
from anmei.ids import make_key, new_id
from db import queries
from handlers.conversations import ConversationHandler, Viewer
from handlers.templates import TemplateUse, content_of

MAX_NAME_LENGTH = 128


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST …/messages`: the data of `send_message`, and whom a service speaks for."""

    content: str | None = None
    #: In place of `content`, from a service.
    template: TemplateUse | None = None
    conversation_id: Id | None = None
    client_msg_id: ClientId | None = None
    message_type: MessageType = "text"
    reply_to: Id | None = None
    is_important: bool = False
    priority: Priority = "normal"
    extra_metadata: msgspec.Raw = msgspec.Raw(b"null")
    body: msgspec.Raw = msgspec.Raw(b"null")
    mentions: Mentions = []
    sender_id: Id | None = None
    sender_name: str | None = None
    sender_type: Literal["chat", "system"] | None = None


class Read(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST …/read`: either of the first two, and as whom a service reads."""

    seq: Seq | None = None
    message_ids: Annotated[list[Id], Meta(max_length=MAX_MESSAGE_IDS)] | None = None
    conversation_id: Id | None = None
    user_id: Id | None = None


class HistoryPage(msgspec.Struct, forbid_unknown_fields=True):
    """Which messages are wanted, as those of a `history` frame."""

    before_seq: Seq | None = None
    after_seq: Seq | None = None
    limit: Limit = 50
    user_id: Id | None = None


class MessageHandler(ConversationHandler):
    """What the handlers of messages share."""

    def check_same(self, id: str, body_id: str | None) -> None:
        if body_id is not None and body_id != id:
            raise AnmeiError(
                ErrorCode.BAD_REQUEST, "conversation_id differs from the one in the path"
            )

    async def send(self, id: str) -> tuple[bool, dict[str, Any]]:
        """Sends what the body says; whether it is new, and the message as it is stored."""
        body = self.body(NewMessage)
        self.check_same(id, body.conversation_id)
        content = await content_of(self, body.content, body.template)
        check_content(content, self.services.settings.limit_content_bytes)
        metadata = check_metadata(body.extra_metadata)
        client_msg_id = self.client_msg_id(body.client_msg_id)
        sender_id, sender_name = await self._sender(body)
        principal = self.principal
        held = check_body(body.message_type, body.body, privileged=principal.acts_for_others)
        reply = await self.commit(
            SendMessage(
                conversation_key=self.key(id),
                sender_key=make_key(principal.tenant, sender_id),
                sender_name=sender_name,
                sender_type=body.sender_type or "chat",
                message_id=new_id("msg"),
                client_msg_id=client_msg_id,
                content=content,
                created_at=now_ms(),
                message_type=body.message_type,
                reply_to=body.reply_to,
                is_important=body.is_important,
                priority=body.priority,
                extra_metadata=metadata,
                body=held,
                mentions=tuple(body.mentions),
                as_member=not principal.acts_for_others,
            )
        )
        counters = self.services.counters
        counters.messages += 1
        counters.duplicates += reply["duplicate"]
        return not reply["duplicate"], reply["message"]

    async def _sender(self, body: NewMessage) -> tuple[str, str]:
        """The id and the shown name of whoever the message is from."""
        principal = self.principal
        sender_id = self.acting_for(body.sender_id, "sender_id")
        for field, given in (("sender_name", body.sender_name), ("sender_type", body.sender_type)):
            if given is not None and not principal.acts_for_others:
                raise AnmeiError(ErrorCode.FORBIDDEN, f"{field}: only a service may give it")
        if body.sender_name is not None:
            return sender_id, check_line("sender_name", body.sender_name, MAX_NAME_LENGTH)
        return sender_id, await self.name_of(sender_id)


class Messages(MessageHandler):
    """`/api/v1/conversations/{id}/messages`"""

    async def get(self, id: str) -> None:
        page = self.query(HistoryPage)
        if page.before_seq is not None and page.after_seq is not None:
            raise AnmeiError(ErrorCode.BAD_REQUEST, "give before_seq or after_seq, not both")
        viewer = self.viewer(page.user_id)
        found = await self.read(
            queries.history, viewer, self.key(id), page.before_seq, page.after_seq, page.limit
        )
        if found is None:
            raise not_found("conversation")
        self.reply(200, found)

    async def post(self, id: str) -> None:
        new, message = await self.send(id)
        self.reply(201 if new else 200, message)


class ChatSend(MessageHandler):
    """`/api/v1/chat/{id}/send`: the same as posting a message, for those who know it by this."""

    async def post(self, id: str) -> None:
        new, message = await self.send(id)
        answer = {"status": "sent", "message_id": message["id"], "message": message}
        self.reply(201 if new else 200, answer)


class ReadMark(MessageHandler):
    """`/api/v1/conversations/{id}/read`"""

    async def post(self, id: str) -> None:
        body = self.body(Read)
        self.check_same(id, body.conversation_id)
        if (body.seq is None) == (body.message_ids is None):
            raise AnmeiError(ErrorCode.BAD_REQUEST, "give either seq or message_ids")
        user_id = self.acting_for(body.user_id, "user_id")
        reply = await self.commit(
            MoveMarks(
                conversation_key=self.key(id),
                user_key=make_key(self.principal.tenant, user_id),
                read=True,
                at=now_ms(),
                seq=body.seq,
                message_ids=tuple(body.message_ids or ()),
            )
        )
        self.reply(200, reply)


class Unread(ConversationHandler):
    """`/api/v1/unread`"""

    async def get(self) -> None:
        user_id = self.acting_for(self.query(Viewer).user_id, "user_id")
        key = make_key(self.principal.tenant, user_id)
        self.reply(200, await self.read(queries.unread, key))
        self.services.reckoning.asked(key)
