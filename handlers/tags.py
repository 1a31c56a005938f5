"""Tags on messages and conversations, and categories of conversations: each user's own."""

import msgspec

from anmei.clock import now_ms
from anmei.errors import not_found
from anmei.frames import Id, Limit
from anmei.ids import is_id, make_key
from anmei.tags import check_tag
from db import tags
from handlers.api import ApiHandler
from handlers.conversations import Cursor, Viewer


class TagPage(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of a list is wanted, and, from a service, whose."""

    cursor: Cursor | None = None
    limit: Limit = 50
    user_id: Id | None = None


class NewCategory(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT …/category`."""

    category: str


class TagHandler(ApiHandler):
    """What the handlers of tags share."""

    kind: tags.Kind

    @property
    def owner(self) -> str:
        """The key of the user whose tags they are."""
        return self._key(self.query(Viewer).user_id)

    def page(self) -> tuple[str, str | None, int]:
        """Whose tags, and which of them."""
        page = self.query(TagPage)
        return self._key(page.user_id), page.cursor, page.limit

    def thing(self, id: str) -> str:
        """What a message or a conversation goes by in the store."""
        if not is_id(id):
            raise not_found(self.kind)
        return id if self.kind == "message" else self.key(id)

    async def show(self, id: str, found: list[str] | None) -> None:
        if found is None:
            raise not_found(self.kind)
        answer: dict[str, object] = {f"{self.kind}_id": id, "tags": found}
        if self.kind == "conversation":
            answer["category"] = await self.read(tags.category_of, self.owner, self.key(id))
        self.reply(200, answer)

    def _key(self, user_id: str | None) -> str:
        return make_key(self.principal.tenant, self.acting_for(user_id, "user_id"))


class ThingTags(TagHandler):
    """`…/{id}/tags`"""

    async def get(self, id: str) -> None:
        await self.show(id, await self.read(tags.tags_of, self.kind, self.owner, self.thing(id)))


class ThingTag(TagHandler):
    """`…/{id}/tags/{tag}`"""

    async def put(self, id: str, tag: str) -> None:
        await self._set(id, tag, True)

    async def delete(self, id: str, tag: str) -> None:
        await self._set(id, tag, False)

    async def _set(self, id: str, tag: str, on: bool) -> None:
        tag = check_tag("tag", tag)
        thing = self.thing(id)
        found = await self.write_aside(
            tags.set_tag, self.kind, self.owner, thing, tag, on, now_ms()
        )
        await self.show(id, found)


class MessageTags(ThingTags):
    """`/api/v1/messages/{id}/tags`"""

    kind = "message"


class MessageTag(ThingTag):
    """`/api/v1/messages/{id}/tags/{tag}`"""

    kind = "message"


class ConversationTags(ThingTags):
    """`/api/v1/conversations/{id}/tags`"""

    kind = "conversation"


class ConversationTag(ThingTag):
    """`/api/v1/conversations/{id}/tags/{tag}`"""

    kind = "conversation"


class Category(TagHandler):
    """`/api/v1/conversations/{id}/category`"""

    kind = "conversation"

    async def put(self, id: str) -> None:
        await self._set(id, check_tag("category", self.body(NewCategory).category))

    async def delete(self, id: str) -> None:
        await self._set(id, None)

    async def _set(self, id: str, category: str | None) -> None:
        if not await self.write_aside(tags.set_category, self.owner, self.thing(id), category):
            raise not_found("conversation")
        self.reply(200, {"conversation_id": id, "category": category})


class Tags(TagHandler):
    """`/api/v1/tags`"""

    async def get(self) -> None:
        found, cursor = await self.read(tags.tags, *self.page())
        self.reply(200, {"tags": found, "next_cursor": cursor})


class TaggedMessages(TagHandler):
    """`/api/v1/tags/{tag}/messages`"""

    async def get(self, tag: str) -> None:
        owner, *part = self.page()
        found, cursor = await self.read(tags.tagged_messages, owner, check_tag("tag", tag), *part)
        self.reply(200, {"messages": found, "next_cursor": cursor})


class TaggedConversations(TagHandler):
    """`/api/v1/tags/{tag}/conversations`"""

    async def get(self, tag: str) -> None:
        owner, *part = self.page()
        found, cursor = await self.read(
            tags.tagged_conversations, owner, check_tag("tag", tag), *part
        )
        self.reply(200, {"conversations": found, "next_cursor": cursor})


class Categories(TagHandler):
    """`/api/v1/categories`"""

    async def get(self) -> None:
        self.reply(200, {"categories": await self.read(tags.categories, self.owner)})


class CategoryConversations(TagHandler):
    """`/api/v1/categories/{category}/conversations`"""

    async def get(self, category: str) -> None:
        owner, *part = self.page()
        found, cursor = await self.read(
            tags.categorised, owner, check_tag("category", category), *part
        )
        self.reply(200, {"conversations": found, "next_cursor": cursor})
