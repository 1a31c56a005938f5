"""Handing out a file, or a part of it, so that no browser takes it for anything else."""

import logging
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from actors.storage import StorageError
from anmei.byte_range import Unsatisfiable, parse_range
from anmei.errors import AnmeiError, ErrorCode
from anmei.file_names import content_disposition
from anmei.file_types import UNKNOWN
from db.errors import StoreUnavailable
from handlers.answer_deadline import AnswerDeadline
from handlers.api import ApiHandler

PIECE = 262_144  # bytes that are read and sent in one go
STILL = 1.0  # seconds after which it is asked again whether whoever reads may
#: Nothing of it runs, whatever it turns out to be, even opened by itself.
POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"

log = logging.getLogger("anmei.http")


class Download:
    """One answer with a file in it."""

    def __init__(self, handler: ApiHandler, file: dict[str, Any]) -> None:
        self._handler = handler
        self._services = handler.services
        self._file = file
        self._asked_at = self._services.loop.time()
        self._etag = f'"{file["sha256"]}"'

    async def send(self) -> None:
        """Answers with 200, 206 or 304. Raises AnmeiError: RANGE, or UNAVAILABLE where the storage
        cannot hand it out."""
        handler, file = self._handler, self._file
        size = file["size"]
        self._set_headers()
        handler.set_header("Etag", self._etag)
        if handler.check_etag_header():
            handler.clear_header("Content-Type")
            handler.set_status(304)
            handler.finish()
            return
        start, end = self._part(size)
        if (start, end) != (0, size):
            handler.set_status(206)
            handler.set_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        handler.set_header("Content-Length", str(end - start))
        if handler.request.method == "HEAD":
            handler.finish()
            return
        await self._stream(start, end)

    def _set_headers(self) -> None:
        handler, file = self._handler, self._file
        safe = file["safe"]
        handler.set_header("Content-Type", file["content_type"] if safe else UNKNOWN)
        handler.set_header("Content-Disposition", content_disposition(file["name"], inline=safe))
        handler.set_header("Content-Security-Policy", POLICY)
        handler.set_header("Cross-Origin-Resource-Policy", "same-origin")
        handler.set_header("Referrer-Policy", "no-referrer")
        handler.set_header("Accept-Ranges", "bytes")
        # It may be kept, and is asked for again each time it is used: who may have it may change.
        handler.set_header("Cache-Control", "private, no-cache")
        handler.set_header("Vary", "Origin, Authorization")

    def _part(self, size: int) -> tuple[int, int]:
        request = self._handler.request
        headers = request.headers
        if request.method != "GET":
            return 0, size  # only there a range has a meaning (RFC 9110, 14.2)
        if headers.get("If-Range", self._etag) != self._etag:
            return 0, size  # of another version than the part that the client has
        try:
            return parse_range(headers.get("Range"), size) or (0, size)
        except Unsatisfiable:
            self._handler.told["Content-Range"] = f"bytes */{size}"
            raise AnmeiError(
                ErrorCode.RANGE, f"Range: the file has {size} bytes, and none there"
            ) from None

    async def _stream(self, start: int, end: int) -> None:
        handler, files = self._handler, self._services.files
        try:
            reader = await files.reader(self._file, start, end)
        except StorageError as error:
            log.warning("a file cannot be read: %s", error)
            raise AnmeiError(
                ErrorCode.UNAVAILABLE, "the storage of files cannot be read now"
            ) from None
        try:
            while data := await files.work(reader.read, PIECE):
                if not await self._may_still():
                    log.info("a file was taken away from somebody who was reading it")
                    self._cut()
                    return
                handler.write(data)
                sent = handler.flush()
                self._watch()
                await sent
            handler.finish()
        except StreamClosedError:
            pass  # whoever wanted it has gone
        except StorageError as error:
            # The length was told: only a broken connection says that it is not reached.
            log.warning("a file cannot be read to its end: %s", error)
            self._cut()
        finally:
            await files.work(reader.close)

    async def _may_still(self) -> bool:
        """Whether whoever asked may have the rest: the message may have been recalled meanwhile, or
        they be in its conversation no longer."""
        now = self._services.loop.time()
        if now - self._asked_at < STILL:
            return True
        self._asked_at = now
        try:
            await self._services.files.find(self._handler.principal, self._file["id"])
        except StoreUnavailable:
            return True  # who may have it is as it was
        except AnmeiError as error:
            return error.code is not ErrorCode.NOT_FOUND
        return True

    def _cut(self) -> None:
        connection = self._handler.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.stream.close()

    def _watch(self) -> None:
        """A client that reads nothing is not waited for."""
        connection = self._handler.request.connection
        if isinstance(connection, HTTP1Connection):
            settings = self._services.settings
            AnswerDeadline(connection.stream, settings.answer_timeout / 1000, self._services.loop)
