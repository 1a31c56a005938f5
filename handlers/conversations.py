"""Conversations and who is in them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from anmei.clock import now_ms
from anmei.commands import AddParticipants, CreateConversation, RemoveParticipant
from anmei.content import check_line
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.frames import Id, Limit
from anmei.ids import id_of, is_id, make_key, new_id
from db import queries
from handlers.api import ApiHandler

MAX_TITLE_LENGTH = 200

Cursor = Annotated[str, Meta(min_length=1, max_length=1024)]


class NewConversation(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/conversations`."""

    kind: Literal["direct", "group", "consultation", "system"]
    participant_ids: list[Id] = []
    id: Id | None = None
    title: str | None = None
    #: Only a service names an owner that is not itself.
    owner_id: Id | None = None


class NewParticipants(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/conversations/{id}/participants`."""

    user_ids: Annotated[list[Id], Meta(min_length=1)]


class Page(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of a list is wanted, and, from a service, as whom."""

    cursor: Cursor | None = None
    limit: Limit = 50
    user_id: Id | None = None


class Viewer(msgspec.Struct, forbid_unknown_fields=True):
    """As whom a service looks."""

    user_id: Id | None = None


class ConversationHandler(ApiHandler):
    """What the handlers of one conversation share."""

    def viewer(self, user_id: str | None) -> str | None:
        """The key of the user whose eyes count; None for a service that names nobody: it sees
        every conversation of its tenant."""
        if user_id is None and self.principal.acts_for_others:
            return None
        return make_key(self.principal.tenant, self.acting_for(user_id, "user_id"))


class Conversations(ConversationHandler):
    """`/api/v1/conversations`"""

    async def get(self) -> None:
        page = self.query(Page)
        user_id = self.acting_for(page.user_id, "user_id")
        found, cursor = await self.read(
            queries.heads, make_key(self.principal.tenant, user_id), page.cursor, page.limit
        )
        self.reply(200, {"conversations": found, "next_cursor": cursor})

    async def post(self) -> None:
        body = self.body(NewConversation)
        principal = self.principal
        if body.kind == "system" and not principal.acts_for_others:
            raise AnmeiError(ErrorCode.FORBIDDEN, "kind: only a service makes `system` ones")
        title = None if body.title is None else check_line("title", body.title, MAX_TITLE_LENGTH)
        owner_id = self.acting_for(body.owner_id, "owner_id")
        tenant = principal.tenant
        settings = self.services.settings
        made = await self.commit(
            CreateConversation(
                key=make_key(tenant, body.id or new_id("conv")),
                kind=body.kind,
                owner_key=make_key(tenant, owner_id),
                participant_keys=tuple(make_key(tenant, id) for id in body.participant_ids),
                created_at=now_ms(),
                title=title,
                idempotency_key=self.idempotency_key(),
                most=settings.limit_members,
                most_owned=settings.limit_conversations_per_owner,
                privileged=principal.acts_for_others,
            )
        )
        conversation = made["conversation"]
        if made["created"]:
            path = f"/api/v1/conversations/{conversation['conversation_id']}"
            self.set_header("Location", path)
        self.reply(201 if made["created"] else 200, conversation)


class Conversation(ConversationHandler):
    """`/api/v1/conversations/{id}`"""

    async def get(self, id: str) -> None:
        viewer = self.viewer(self.query(Viewer).user_id)
        head = await self.read(queries.conversation, viewer, self.key(id))
        if head is None:
            raise not_found("conversation")
        self.reply(200, head)


class Participants(ConversationHandler):
    """`/api/v1/conversations/{id}/participants`"""

    async def get(self, id: str) -> None:
        page = self.query(Page)
        viewer = self.viewer(page.user_id)
        found = await self.read(queries.participants, viewer, self.key(id), page.cursor, page.limit)
        if found is None:
            raise not_found("conversation")
        self.reply(200, {"participants": found[0], "next_cursor": found[1]})

    async def post(self, id: str) -> None:
        body = self.body(NewParticipants)
        key, principal = self.key(id), self.principal
        reply = await self.commit(
            AddParticipants(
                conversation_key=key,
                by_key=principal.key,
                user_keys=tuple(make_key(principal.tenant, user_id) for user_id in body.user_ids),
                at=now_ms(),
                privileged=principal.acts_for_others,
                most=self.services.settings.limit_members,
            )
        )
        self.reply(200, reply["conversation"])


class Participant(ConversationHandler):
    """`/api/v1/conversations/{id}/participants/{user_id}`"""

    async def delete(self, id: str, user_id: str) -> None:
        key, principal = self.key(id), self.principal
        if not is_id(user_id):
            raise not_found("conversation")
        reply = await self.commit(
            RemoveParticipant(
                conversation_key=key,
                by_key=principal.key,
                user_key=make_key(principal.tenant, user_id),
                at=now_ms(),
                privileged=principal.acts_for_others,
            )
        )
        gone = principal.user_id == user_id and not principal.acts_for_others
        # Who has left sees no more of it.
        self.reply(200, {"conversation_id": id_of(key)} if gone else reply["conversation"])
