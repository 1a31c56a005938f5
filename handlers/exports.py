"""A conversation as a file, streamed."""

import asyncio
import logging
from collections import Counter

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from actors.exporter import export
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.principal import Principal
from db import queries
from db.errors import StoreUnavailable
from handlers.answer_deadline import LEAST_TAKEN
from handlers.conversations import ConversationHandler

MOST = 4  # exports of one process at the same time
RETRY_AFTER_MS = 5_000

log = logging.getLogger("anmei.http")


class Running:
    """The exports that are under way, by who asked for them."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    def enter(self, principal: Principal) -> None:
        """One more. Raises AnmeiError (OVERLOADED) where there are as many as may be. A user has
        one at a time, so that nobody keeps all others from theirs by reading slowly."""
        own = self._of[principal.key]
        if own and not principal.acts_for_others:
            raise _too_many("at most 1 export of a user may be under way at the same time")
        if self._of.total() >= MOST:
            raise _too_many(f"at most {MOST} exports may be under way at the same time")
        self._of[principal.key] = own + 1

    def leave(self, principal: Principal) -> None:
        self._of[principal.key] -= 1
        if not self._of[principal.key]:
            del self._of[principal.key]


class Export(ConversationHandler):
    """`/api/v1/conversations/{id}/export`"""

    def initialize(self, running: Running) -> None:
        self._running = running

    async def get(self, id: str) -> None:
        key = self.key(id)
        head = await self.read(queries.conversation, self.viewer(None), key)
        if head is None:
            raise not_found("conversation")
        principal = self.principal
        if not principal.acts_for_others and head["owner_id"] != principal.user_id:
            raise AnmeiError(ErrorCode.FORBIDDEN, "only the owner exports a conversation")
        self._running.enter(principal)
        try:
            await self._stream(key)
        finally:
            self._running.leave(principal)

    async def _stream(self, key: str) -> None:
        self.set_header("Content-Type", "application/x-ndjson")
        self.set_header("Content-Disposition", 'attachment; filename="conversation.jsonl"')
        if self.request.method == "HEAD":
            return
        patience = self.services.settings.answer_timeout / 1000
        try:
            async for lines, _ in export(self.read, key):
                for start in range(0, len(lines), LEAST_TAKEN):
                    self.write(lines[start : start + LEAST_TAKEN])
                    await asyncio.wait_for(self.flush(), patience)
        except Exception as error:
            # The answer has begun: that it breaks off, without its last line, is all that can
            # be said.
            connection = self.request.connection
            assert isinstance(connection, HTTP1Connection)
            connection.stream.close()
            if not isinstance(error, StreamClosedError | TimeoutError | StoreUnavailable):
                raise
            log.info("an export broke off: %s", type(error).__name__)


def _too_many(message: str) -> AnmeiError:
    return AnmeiError(ErrorCode.OVERLOADED, message, retry_after_ms=RETRY_AFTER_MS)
