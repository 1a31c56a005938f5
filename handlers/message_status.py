"""Who has received and read a message."""

import msgspec

from anmei.errors import not_found
from anmei.frames import Limit
from anmei.ids import is_id
from db import queries
from handlers.api import ApiHandler
from handlers.conversations import Cursor


class StatusPage(msgspec.Struct, forbid_unknown_fields=True):
    """Which of the receipts are wanted."""

    cursor: Cursor | None = None
    limit: Limit = 50


class MessageStatus(ApiHandler):
    """`/api/v1/messages/{id}/status`: for its sender, and for services and admins."""

    async def get(self, id: str) -> None:
        page = self.query(StatusPage)
        principal = self.principal
        asker = None if principal.acts_for_others else principal.key
        found = None
        if is_id(id):
            found = await self.read(
                queries.message_status, principal.tenant, asker, id, page.cursor, page.limit
            )
        if found is None:
            raise not_found("message")
        self.reply(200, found)
