"""Taking tokens back, for admins: each those of their own tenant."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.revocations import revoke_command
from anmei.clock import now_ms
from anmei.commands import Outcome
from anmei.errors import AnmeiError, ErrorCode
from anmei.frames import Id, Limit
from anmei.principal import ADMIN
from anmei.revocation import Revocation, token_subject, user_subject
from anmei.tokens import MAX_TOKEN_ID_LENGTH, is_token_id
from db import queries
from handlers.api import ApiHandler


class Revoke(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/tokens/revoke`."""

    jti: str | None = None
    user_id: Id | None = None
    before: Annotated[datetime, Meta(tz=True)] | None = None


class Page(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of the list is wanted."""

    cursor: str | None = None
    limit: Limit = 50


class RevokeToken(ApiHandler):
    """`/api/v1/tokens/revoke`"""

    needs = ADMIN

    async def post(self) -> None:
        body, services = self.body(Revoke), self.services
        tenant = self.principal.tenant
        before = 0
        if body.jti is not None and body.user_id is None and body.before is None:
            if not is_token_id(body.jti):
                raise _bad(f"jti: expected 1 to {MAX_TOKEN_ID_LENGTH} printable characters")
            subject = token_subject(tenant, body.jti)
        elif body.jti is None and body.user_id is not None:
            before = _moment(body.before)
            subject = user_subject(tenant, body.user_id)
        else:
            raise _bad("expected jti alone, or user_id, with before or without")
        reply = await self.commit(revoke_command(services.settings, tenant, subject, before))
        ended, nodes = services.revocations.announce(Outcome(reply=reply))
        shown = msgspec.convert(reply, Revocation).to_wire()
        self.reply(200, {**shown, "disconnected": ended, "nodes": nodes + 1})


class RevokedList(ApiHandler):
    """`/api/v1/tokens/revocations`"""

    needs = ADMIN

    async def get(self) -> None:
        page = self.query(Page)
        found, cursor = await self.read(
            queries.revocations, self.principal.tenant, now_ms(), page.cursor, page.limit
        )
        shown = [revocation.to_wire() for revocation in found]
        self.reply(200, {"revocations": shown, "next_cursor": cursor})


def _moment(given: datetime | None) -> int:
    """The moment in ms since 1970, now where none is given."""
    now = now_ms()
    if given is None:
        return now
    moment = int(given.timestamp() * 1000)
    if moment > now:
        raise _bad("before: expected a moment that is not in the future")
    return max(0, moment)


def _bad(message: str) -> AnmeiError:
    return AnmeiError(ErrorCode.BAD_REQUEST, message)
