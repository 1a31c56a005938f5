"""What becomes of a message after it was sent: edited, recalled, reacted to, forwarded, pinned."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from anmei.clock import now_ms
from anmei.commands_changes import (
    EditMessage,
    ForwardMessage,
    PinMessage,
    React,
    RecallMessage,
)
from anmei.content import check_content, check_emoji
from anmei.errors import not_found
from anmei.frames import MAX_FORWARDS, ClientId, Id, Limit, Mentions
from anmei.ids import id_of, is_id, make_key, new_id
from db import queries
from handlers.conversations import ConversationHandler, Cursor, Page, Viewer


class Sender(msgspec.Struct, forbid_unknown_fields=True):
    """In whose name a service acts; as itself without it."""

    sender_id: Id | None = None


class Edit(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PATCH …/messages/{id}`."""

    content: str
    mentions: Mentions | None = None
    sender_id: Id | None = None


class Forward(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST …/messages/{id}/forward`."""

    conversation_ids: Annotated[list[Id], Meta(min_length=1, max_length=MAX_FORWARDS)]
    client_msg_id: ClientId | None = None
    sender_id: Id | None = None


class ReactionPage(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of the reactions is wanted, and, from a service, as whom."""

    emoji: str | None = None
    cursor: Cursor | None = None
    limit: Limit = 50
    user_id: Id | None = None


class ChangeHandler(ConversationHandler):
    """What the handlers of one message share."""

    def asked(self, id: str, sender_id: str | None) -> dict[str, Any]:
        """What the command says of who asks for what. A service that names a sender has the
        sender's rights, and one that names nobody those of a moderator."""
        if not is_id(id):
            raise not_found("message")
        principal = self.principal
        own = sender_id is None or sender_id == principal.user_id
        by_key = make_key(principal.tenant, self.acting_for(sender_id, "sender_id"))
        return {
            "message_id": id,
            "by_key": by_key,
            "agent_key": None if own else principal.key,
            "at": now_ms(),
            "as_member": not principal.acts_for_others,
            "moderator": own and principal.acts_for_others,
        }

    async def found(self, query: Any, id: str, user_id: str | None, *args: Any) -> Any:
        """What a query says of a message that whoever asks may see."""
        viewer = self.viewer(user_id)
        found = None
        if is_id(id):
            found = await self.read(query, self.principal.tenant, viewer, id, *args)
        if found is None:
            raise not_found("message")
        return found


class Message(ChangeHandler):
    """`/api/v1/messages/{id}`"""

    async def get(self, id: str) -> None:
        self.reply(200, await self.found(queries.message, id, self.query(Viewer).user_id))

    async def patch(self, id: str) -> None:
        body = self.body(Edit)
        settings = self.services.settings
        check_content(body.content, settings.limit_content_bytes)
        reply = await self.commit(
            EditMessage(
                **self.asked(id, body.sender_id),
                content=body.content,
                mentions=None if body.mentions is None else tuple(body.mentions),
                window=settings.edit_window,
            )
        )
        self.reply(200, reply["message"])


class Recall(ChangeHandler):
    """`/api/v1/messages/{id}/recall`"""

    async def post(self, id: str) -> None:
        asked = self.asked(id, self.body(Sender).sender_id)
        window = self.services.settings.recall_window
        self.reply(200, (await self.commit(RecallMessage(**asked, window=window)))["message"])


class ForwardTo(ChangeHandler):
    """`/api/v1/messages/{id}/forward`"""

    async def post(self, id: str) -> None:
        body = self.body(Forward)
        client_msg_id = self.client_msg_id(body.client_msg_id)
        asked = self.asked(id, body.sender_id)
        keys = tuple(dict.fromkeys(self.key(each) for each in body.conversation_ids))
        reply = await self.commit(
            ForwardMessage(
                **asked,
                by_name=await self.name_of(id_of(asked["by_key"])),
                conversation_keys=keys,
                message_ids=tuple(new_id("msg") for _ in keys),
                client_msg_id=client_msg_id,
            )
        )
        counters = self.services.counters
        counters.messages += len(keys)
        counters.duplicates += sum(reply["duplicates"])
        new = not all(reply["duplicates"])
        self.reply(201 if new else 200, {"messages": reply["messages"]})


class Reactions(ChangeHandler):
    """`/api/v1/messages/{id}/reactions`"""

    async def get(self, id: str) -> None:
        page = self.query(ReactionPage)
        found = await self.found(
            queries.reactions, id, page.user_id, page.emoji, page.cursor, page.limit
        )
        self.reply(200, {"reactions": found[0], "next_cursor": found[1]})


class Reaction(ChangeHandler):
    """`/api/v1/messages/{id}/reactions/{emoji}`"""

    async def put(self, id: str, emoji: str) -> None:
        await self._react(id, emoji, True)

    async def delete(self, id: str, emoji: str) -> None:
        await self._react(id, emoji, False)

    async def _react(self, id: str, emoji: str, on: bool) -> None:
        asked = self.asked(id, self.query(Sender).sender_id)
        check_emoji(emoji)
        self.reply(200, (await self.commit(React(**asked, emoji=emoji, on=on)))["message"])


class Pin(ChangeHandler):
    """`/api/v1/messages/{id}/pin`"""

    async def put(self, id: str) -> None:
        await self._pin(id, True)

    async def delete(self, id: str) -> None:
        await self._pin(id, False)

    async def _pin(self, id: str, on: bool) -> None:
        asked = self.asked(id, self.query(Sender).sender_id)
        self.reply(200, (await self.commit(PinMessage(**asked, on=on)))["message"])


class Pins(ConversationHandler):
    """`/api/v1/conversations/{id}/pins`"""

    async def get(self, id: str) -> None:
        page = self.query(Page)
        viewer = self.viewer(page.user_id)
        found = await self.read(queries.pins, viewer, self.key(id), page.cursor, page.limit)
        if found is None:
            raise not_found("conversation")
        self.reply(200, {"messages": found[0], "next_cursor": found[1]})
