"""Personal messages: sent to users without a conversation, listed, read and taken out."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from anmei.bodies import check_body
from anmei.clock import now_ms
from anmei.codec import check_metadata
from anmei.commands_inbox import MarkInbox, PostMessage, RemoveFromInbox
from anmei.content import check_content, check_line
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.frames import MAX_MESSAGE_IDS, MAX_SEQ, ClientId, Id, Limit, MessageType, Priority, Seq
from anmei.ids import is_id, make_key, new_id
from anmei.principal import SERVICE
from db import queries
from handlers.api import ApiHandler
from handlers.conversations import MAX_TITLE_LENGTH, Cursor, Viewer
from handlers.messages import MAX_NAME_LENGTH
from handlers.templates import TemplateUse, content_of

MAX_RECIPIENTS = 10_000


class NewPost(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/messages`: a message, and the users whom it is for."""

    recipient_ids: list[Id]
    content: str | None = None
    #: In place of `content`.
    template: TemplateUse | None = None
    title: str | None = None
    #: What kind of news it is, in the app's own words.
    category: Id | None = None
    client_msg_id: ClientId | None = None
    message_type: MessageType = "text"
    is_important: bool = False
    priority: Priority = "normal"
    extra_metadata: msgspec.Raw = msgspec.Raw(b"null")
    body: msgspec.Raw = msgspec.Raw(b"null")
    sender_id: Id | None = None
    sender_name: str | None = None
    sender_type: Literal["chat", "system"] = "system"


class InboxPage(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of an inbox is wanted, and, from a service, whose."""

    cursor: Cursor | None = None
    limit: Limit = 50
    unread: bool = False
    user_id: Id | None = None


class InboxRead(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/inbox/read`: one of the first three, and whose it is."""

    seq: Seq | None = None
    message_ids: Annotated[list[Id], Meta(max_length=MAX_MESSAGE_IDS)] | None = None
    all: bool = False
    user_id: Id | None = None


class InboxHandler(ApiHandler):
    """What the handlers of one inbox share."""

    def owner(self, user_id: str | None) -> str:
        """The key of the user whose inbox it is."""
        return make_key(self.principal.tenant, self.acting_for(user_id, "user_id"))


class Posts(ApiHandler):
    """`/api/v1/messages`"""

    needs = SERVICE

    async def post(self) -> None:
        body = self.body(NewPost)
        count = len(body.recipient_ids)
        if not 1 <= count <= MAX_RECIPIENTS:
            raise AnmeiError(
                ErrorCode.TOO_LARGE if count else ErrorCode.BAD_REQUEST,
                f"recipient_ids: expected 1 to {MAX_RECIPIENTS} user ids, got {count}",
            )
        content = await content_of(self, body.content, body.template)
        check_content(content, self.services.settings.limit_content_bytes)
        metadata = check_metadata(body.extra_metadata)
        held = check_body(body.message_type, body.body, privileged=True)
        title = None if body.title is None else check_line("title", body.title, MAX_TITLE_LENGTH)
        principal = self.principal
        sender_id = self.acting_for(body.sender_id, "sender_id")
        if body.sender_name is None:
            name = await self.name_of(sender_id)
        else:
            name = check_line("sender_name", body.sender_name, MAX_NAME_LENGTH)
        reply = await self.commit(
            PostMessage(
                message_id=new_id("msg"),
                sender_key=make_key(principal.tenant, sender_id),
                sender_name=name,
                sender_type=body.sender_type,
                client_msg_id=self.client_msg_id(body.client_msg_id),
                content=content,
                created_at=now_ms(),
                recipient_keys=tuple(make_key(principal.tenant, id) for id in body.recipient_ids),
                title=title,
                category=body.category,
                message_type=body.message_type,
                is_important=body.is_important,
                priority=body.priority,
                extra_metadata=metadata,
                body=held,
            )
        )
        counters = self.services.counters
        counters.messages += 1
        counters.duplicates += reply["duplicate"]
        message = reply["message"]
        answer = {
            "message_id": message["id"],
            "recipient_count": reply["recipient_count"],
            "created_at": message["created_at"],
        }
        self.reply(200 if reply["duplicate"] else 201, answer)


class Inbox(InboxHandler):
    """`/api/v1/inbox`"""

    async def get(self) -> None:
        page = self.query(InboxPage)
        found, cursor = await self.read(
            queries.inbox, self.owner(page.user_id), page.cursor, page.limit, page.unread
        )
        self.reply(200, {"messages": found, "next_cursor": cursor})


class InboxReadMark(InboxHandler):
    """`/api/v1/inbox/read`"""

    async def post(self) -> None:
        body = self.body(InboxRead)
        if (body.seq is not None) + (body.message_ids is not None) + body.all != 1:
            raise AnmeiError(ErrorCode.BAD_REQUEST, "give one of seq, message_ids and all")
        command = MarkInbox(
            user_key=self.owner(body.user_id),
            read=True,
            at=now_ms(),
            seq=MAX_SEQ if body.all else body.seq,
            message_ids=tuple(body.message_ids or ()),
        )
        reply = await self.commit(command)
        while reply.pop("more"):
            reply = await self.commit(command)  # so many are not marked in one transaction
        self.reply(200, reply)


class InboxMessage(InboxHandler):
    """`/api/v1/inbox/{message_id}`"""

    async def delete(self, id: str) -> None:
        owner = self.owner(self.query(Viewer).user_id)
        if not is_id(id):
            raise not_found("message")
        self.reply(200, await self.commit(RemoveFromInbox(owner, id, now_ms())))
