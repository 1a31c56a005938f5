"""Who changed what, for admins."""

import msgspec

from anmei.frames import Id, Limit
from anmei.ids import make_key
from anmei.principal import ADMIN
from db import queries
from handlers.api import ApiHandler
from handlers.conversations import Cursor


class AuditPage(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of the audit is wanted."""

    conversation_id: Id | None = None
    message_id: Id | None = None
    actor_id: Id | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


class Audit(ApiHandler):
    """`/api/v1/audit`"""

    needs = ADMIN

    async def get(self) -> None:
        page, tenant = self.query(AuditPage), self.principal.tenant
        found, cursor = await self.read(
            queries.audit,
            tenant,
            None if page.conversation_id is None else make_key(tenant, page.conversation_id),
            page.message_id,
            None if page.actor_id is None else make_key(tenant, page.actor_id),
            page.cursor,
            page.limit,
        )
        self.reply(200, {"audit": found, "next_cursor": cursor})
