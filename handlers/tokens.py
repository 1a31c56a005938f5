"""Tokens for users, made for an admin's backend."""

import time
from typing import Annotated

import msgspec
from msgspec import Meta

from anmei.clock import to_wire
from anmei.errors import AnmeiError, ErrorCode
from anmei.frames import Id
from anmei.principal import ADMIN, USER
from handlers.api import ApiHandler

DEFAULT_TTL = 3_600  # seconds


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/tokens`."""

    user_id: Id
    roles: Annotated[tuple[str, ...], Meta(min_length=1, max_length=8)] = (USER,)
    tenant: Id | None = None
    name: str | None = None
    ttl_seconds: Annotated[int, Meta(ge=1)] = DEFAULT_TTL


class Tokens(ApiHandler):
    """`/api/v1/tokens`"""

    needs = ADMIN

    async def post(self) -> None:
        body = self.body(NewToken)
        tenant = body.tenant or self.principal.tenant
        if tenant != self.principal.tenant:
            raise AnmeiError(ErrorCode.FORBIDDEN, "tenant: tokens are for your own tenant alone")
        signed = self.services.keyring.signer.sign(
            body.user_id,
            ttl=body.ttl_seconds,
            now=time.time(),
            tenant=tenant,
            roles=body.roles,
            name=body.name,
        )
        expires_at = to_wire(signed.expires_at * 1000)
        self.reply(201, {"token": signed.text, "expires_at": expires_at})
