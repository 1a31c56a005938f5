"""Signing in by name alone, for the page at `/` on a developer's machine."""

import os
import re
import time
import unicodedata
from typing import Annotated

import msgspec
from msgspec import Meta

from anmei.bucket import Bucket
from anmei.clock import now_ms, to_wire
from anmei.commands import AddParticipants, CreateConversation, TouchDevice
from anmei.content import check_line
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.ids import make_key
from anmei.settings import Settings
from anmei.tokens import DEFAULT_TENANT
from handlers.api import ApiHandler
from handlers.caller import allowed_origin, find_caller

LOBBY = "lobby"
MAX_NAME_LENGTH = 64
TOKEN_TTL = 86_400  # seconds
RATE, BURST = 10.0, 100.0  # sign-ins a second on average, and at once


class SignInBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /demo/sign-in`."""

    name: Annotated[str, Meta(max_length=1_024)]


def demo_is_on(settings: Settings) -> bool:
    """Whether anybody is let in by name; never where another server signs the tokens."""
    if settings.jwt_public_key or settings.jwt_jwks_url:
        return False
    return settings.demo == "on" or (settings.demo == "auto" and settings.env == "development")


class SignIn(ApiHandler):
    """`/demo/sign-in`"""

    needs = None

    def initialize(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def prepare(self) -> None:
        if not demo_is_on(self.services.settings):
            raise not_found("page")
        await super().prepare()

    async def post(self) -> None:
        if "Origin" in self.request.headers and not allowed_origin(self.request, self.services):
            raise AnmeiError(ErrorCode.FORBIDDEN, "pages of this origin may not sign in")
        name = check_line("name", self.body(SignInBody).name, MAX_NAME_LENGTH)
        wait = self._bucket.take(self.services.loop.time())
        if wait:
            raise AnmeiError(
                ErrorCode.RATE_LIMITED, "too many sign-ins", retry_after_ms=int(wait * 1000) + 1
            )
        settings = self.services.settings
        user_id = await self._known() or _user_id(name)
        signed = self.services.keyring.signer.sign(
            user_id,
            ttl=min(TOKEN_TTL, settings.jwt_max_lifetime),
            now=time.time(),
            name=name,
        )
        user_key = make_key(DEFAULT_TENANT, user_id)
        # Before the lobby hears of somebody new, so that it hears the name.
        await self.commit(TouchDevice(user_key=user_key, name=name, at=now_ms()))
        await self._let_in(user_key)
        self.reply(
            201,
            {
                "token": signed.text,
                "user_id": user_id,
                "name": name,
                "conversation_id": LOBBY,
                "expires_at": to_wire(signed.expires_at * 1000),
            },
        )

    async def _known(self) -> str | None:
        """Who asks, where a token says it that still holds: the same person with a newer one."""
        if "Authorization" not in self.request.headers:
            return None
        caller = await find_caller(self.request, self.services)
        return caller.user_id if caller.tenant == DEFAULT_TENANT else None

    async def _let_in(self, user_key: str) -> None:
        """Puts the user in the lobby, which is made for the first."""
        lobby = make_key(DEFAULT_TENANT, LOBBY)
        command = AddParticipants(
            conversation_key=lobby,
            by_key=user_key,
            user_keys=(user_key,),
            at=now_ms(),
            privileged=True,
            most=self.services.settings.limit_members,
        )
        try:
            await self.commit(command)
        except AnmeiError as error:
            if error.code is ErrorCode.TOO_LARGE:
                raise AnmeiError(ErrorCode.OVERLOADED, "the lobby is full") from None
            if error.code is not ErrorCode.NOT_FOUND:
                raise
            if not await self._opened(lobby, user_key):
                await self.commit(command)

    async def _opened(self, lobby: str, user_key: str) -> bool:
        """Makes the lobby, owned by the first who comes; False where somebody else just did."""
        try:
            await self.commit(
                CreateConversation(
                    key=lobby,
                    kind="group",
                    owner_key=user_key,
                    participant_keys=(),
                    created_at=now_ms(),
                    title="Lobby",
                )
            )
        except AnmeiError as error:
            if error.code is not ErrorCode.CONFLICT:
                raise
            return False
        return True


def _user_id(name: str) -> str:
    """An id that shows the name as far as ASCII can, and is no other Ada's."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:32].strip("-") or "guest"
    return f"{slug}-{os.urandom(4).hex()}"
