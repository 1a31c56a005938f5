"""A conversation as a file, streamed."""

import asyncio
import logging

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from actors.exporter import export
from anmei.errors import AnmeiError, ErrorCode, not_found
from db import queries
from db.errors import StoreUnavailable
from handlers.answer_deadline import LEAST_TAKEN
from handlers.conversations import ConversationHandler

MOST = 4  # exports of one process at the same time
RETRY_AFTER_MS = 5_000

log = logging.getLogger("anmei.http")


class Running:
    """How many exports are under way."""

    def __init__(self) -> None:
        self.count = 0


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
        if self._running.count >= MOST:
            raise AnmeiError(
                ErrorCode.OVERLOADED,
                f"at most {MOST} exports may be under way at the same time",
                retry_after_ms=RETRY_AFTER_MS,
            )
        self._running.count += 1
        try:
            await self._stream(key)
        finally:
            self._running.count -= 1

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
        except (StreamClosedError, TimeoutError, StoreUnavailable) as error:
            # The answer has begun: that it breaks off, without its last line, is all that can
            # be said.
            log.info("an export broke off: %s", type(error).__name__)
            connection = self.request.connection
            assert isinstance(connection, HTTP1Connection)
            connection.stream.close()
