"""What a user has set for conversations: mutes, pins and drafts."""

import msgspec
from msgspec import UNSET, UnsetType

from anmei.clock import now_ms
from anmei.commands_preferences import SetPreference, muted_until
from anmei.content import check_content
from anmei.errors import AnmeiError, ErrorCode
from anmei.frames import MAX_DRAFT_BYTES, Age, Id, Limit, MuteSeconds, Seq
from anmei.ids import make_key
from db import queries
from handlers.api import ApiHandler


class PreferencePage(msgspec.Struct, forbid_unknown_fields=True):
    """Which of the preferences are wanted, and, from a service, whose."""

    after_seq: Seq = 0
    limit: Limit = 50
    user_id: Id | None = None


class NewPreference(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be set; what is left out stays. A service names whose it is."""

    muted: bool | UnsetType = UNSET
    mute_seconds: MuteSeconds | None = None
    pinned: bool | UnsetType = UNSET
    draft: str | UnsetType = UNSET
    draft_age_ms: Age = 0
    user_id: Id | None = None


class Preferences(ApiHandler):
    """`/api/v1/preferences`"""

    async def get(self) -> None:
        page = self.query(PreferencePage)
        key = make_key(self.principal.tenant, self.acting_for(page.user_id, "user_id"))
        found = await self.read(queries.preferences, key, page.after_seq, page.limit + 1)
        shown = found[: page.limit]
        more = len(found) > page.limit
        self.reply(
            200, {"preferences": shown, "next_after_seq": shown[-1]["seq"] if more else None}
        )


class ConversationPreference(ApiHandler):
    """`/api/v1/conversations/{id}/preferences`"""

    async def put(self, id: str) -> None:
        body = self.body(NewPreference)
        if (body.muted, body.pinned, body.draft) == (UNSET, UNSET, UNSET):
            raise AnmeiError(ErrorCode.BAD_REQUEST, "give one of muted, pinned and draft at least")
        if body.draft is not UNSET:
            check_content(body.draft, MAX_DRAFT_BYTES, "draft")
        at = now_ms()
        reply = await self.commit(
            SetPreference(
                user_key=make_key(self.principal.tenant, self.acting_for(body.user_id, "user_id")),
                conversation_key=self.key(id),
                at=at,
                muted_until=UNSET
                if body.muted is UNSET
                else muted_until(body.muted, body.mute_seconds, at),
                pinned=body.pinned,
                draft=body.draft,
                written_at=at - body.draft_age_ms,
            )
        )
        self.reply(200, reply["preference"])
