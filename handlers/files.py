"""Files: uploads by the protocol tus, version 1.0, and downloads."""

from email.utils import formatdate
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.web import HTTPError, stream_request_body

from actors.incoming import Incoming
from anmei import tus
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.ids import is_id
from db.errors import StoreUnavailable
from handlers.api import ALLOWED_HEADERS, ApiHandler
from handlers.body_limit import DRAINED
from handlers.body_pace import BodyPace
from handlers.download import Download

TUS_HEADERS = (
    "Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Upload-Checksum, "
    "X-HTTP-Method-Override, Range, If-Range, If-None-Match"
)
EXPOSED = (
    "Location, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, "
    "Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires, Accept-Ranges, Content-Range, "
    "Content-Disposition, ETag, Retry-After, X-Request-Id"
)
NEVER = 1e9  # seconds: a body is watched here, not by a deadline for all of it


class TusHandler(ApiHandler):
    """What the routes of uploads share. A body is read as it comes, and only where it may."""

    incoming: Incoming | None = None
    _pace: BodyPace | None = None
    _failure: Exception | None = None
    _seen = 0

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Tus-Resumable", tus.VERSION)
        if "Access-Control-Allow-Origin" in self._headers:
            self.set_header("Access-Control-Expose-Headers", EXPOSED)

    async def prepare(self) -> None:
        self._drained = self.services.settings.limit_body_bytes * DRAINED
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.set_max_body_size(self._drained)
        self._override_method()
        try:
            await super().prepare()
            self._check_version()
            await self.prepare_body()
        except (AnmeiError, StoreUnavailable, HTTPError) as error:
            if not self._let_go():
                raise
            self._failure = error

    async def prepare_body(self) -> None:
        """Makes ready for what this route takes; most take nothing."""

    def _let_go(self) -> bool:
        """Whether what is still to come of a refused body is read, and let go, before the answer: a
        server that hangs up while somebody still sends takes its own answer away from them."""
        headers = self.request.headers
        if self.request.method not in self.methods() or "Expect" in headers:
            return False
        length = headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or len(length) > 18:
            return False
        left = int(length) - self._seen
        return 0 < left <= self._drained or "Transfer-Encoding" in headers

    def options(self, *args: str, **kwargs: str) -> None:
        super().options(*args, **kwargs)
        if "Access-Control-Allow-Headers" in self._headers:
            self.set_header("Access-Control-Allow-Headers", f"{ALLOWED_HEADERS}, {TUS_HEADERS}")
        self.set_header("Tus-Version", tus.VERSION)
        self.set_header("Tus-Extension", tus.EXTENSIONS)
        self.set_header("Tus-Max-Size", str(self.services.settings.limit_file_bytes))
        self.set_header("Tus-Checksum-Algorithm", ",".join(tus.CHECKSUMS))

    def _override_method(self) -> None:
        """For clients whose browser or proxy knows only the common methods."""
        method = self.request.headers.get("X-HTTP-Method-Override", "").upper()
        if self.request.method == "POST" and method in ("PATCH", "DELETE"):
            self.request.method = method

    def _check_version(self) -> None:
        given = self.request.headers.get("Tus-Resumable", tus.VERSION)
        if given != tus.VERSION and self.request.method != "OPTIONS":
            self.told["Tus-Version"] = tus.VERSION
            raise AnmeiError(
                ErrorCode.OUTDATED,
                f"Tus-Resumable: expected {tus.VERSION}, got {ascii(given[:32])}",
            )

    # The body

    def body_length(self) -> int | None:
        """What the request says of its body; None where it comes in chunks."""
        if "Transfer-Encoding" in self.request.headers:
            return None
        return tus.number("Content-Length", self.request.headers.get("Content-Length", "0"))

    def body_checksum(self) -> tus.Checksum | None:
        """What the headers say that the body hashes to. Raises AnmeiError where it is no body of
        an upload."""
        headers = self.request.headers
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != tus.BODY_TYPE:
            raise AnmeiError(
                ErrorCode.UNSUPPORTED_MEDIA,
                f"Content-Type: expected {tus.BODY_TYPE}, got {ascii(kind[:64])}",
            )
        given = headers.get("Upload-Checksum")
        return None if given is None else tus.Checksum(given)

    async def take_body(self, id: str, offset: int, checksum: tus.Checksum | None) -> None:
        """Have the body go into the upload from `offset` on. Raises AnmeiError."""
        length = self.body_length()
        incoming = await self.services.files.receive(self.principal, id, offset, checksum)
        # From here on `finish` or `cut` ends it.
        self.incoming = incoming
        try:
            if length is not None and length > incoming.room:
                raise _too_long(incoming.room)
            connection = self.request.connection
            if isinstance(connection, HTTP1Connection):
                # What is behind the end of the upload comes here too, to be refused by its name.
                connection.set_max_body_size(incoming.room + self._drained)
                connection.set_body_timeout(NEVER)
                self._pace = BodyPace(connection.stream, self.services.loop)
        except BaseException:
            await incoming.cut()
            raise

    async def data_received(self, chunk: bytes) -> None:
        incoming = self.incoming
        self._seen += len(chunk)
        if self._pace is not None:
            self._pace.heard(len(chunk))
        if incoming is None or self._failure is not None:
            return
        try:
            if len(chunk) > incoming.room:
                raise _too_long(incoming.room)
            await incoming.feed(chunk)
        except AnmeiError as error:
            self._failure = error
            await incoming.cut()
            if not self._let_go() and not self._finished:
                self._stop_pace()
                self._handle_request_exception(error)

    async def end_body(self) -> bool:
        """Whether the body has come, and was not answered already. Raises AnmeiError."""
        self._stop_pace()
        if self._finished:
            return False
        self.check()
        if self.incoming is not None:
            await self.incoming.finish()
        return True

    def check(self) -> None:
        """Every method begins with it: raises what the request was refused for before its body."""
        if self._failure is not None:
            raise self._failure

    def on_connection_close(self) -> None:
        self._stop_pace()
        if self.incoming is not None:
            self.services.files.cut(self.incoming)
        super().on_connection_close()

    def on_finish(self) -> None:
        self._stop_pace()

    def _stop_pace(self) -> None:
        if self._pace is not None:
            self._pace.stop()
            self._pace = None

    # The answer

    def show_progress(self, received: int, size: int, expires_at: int | None) -> None:
        self.set_header("Upload-Offset", str(received))
        if received < size and expires_at:
            self.set_header("Upload-Expires", formatdate(expires_at / 1000, usegmt=True))

    def empty(self, status: int) -> None:
        self.clear_header("Content-Type")
        self.set_status(status)
        self.finish()


@stream_request_body
class Files(TusHandler):
    """`/api/v1/files`: makes an upload, and takes what comes with it."""

    _made: dict[str, Any]

    async def prepare_body(self) -> None:
        if self.request.method != "POST":
            return
        headers = self.request.headers
        for name in ("Upload-Concat", "Upload-Defer-Length"):
            if name in headers:
                raise AnmeiError(
                    ErrorCode.BAD_REQUEST,
                    f"{name}: this server offers {tus.EXTENSIONS} and nothing else",
                )
        size = tus.number("Upload-Length", headers.get("Upload-Length"))
        length = self.body_length()
        if length is not None and length > size:
            raise _too_long(size)
        comes = length != 0 and size > 0
        # Before anything is made: nobody would know of an upload that was refused with its body.
        checksum = self.body_checksum() if comes else None
        files = self.services.files
        self._made = await files.create(self.principal, size, headers.get("Upload-Metadata"))
        if comes:
            await self.take_body(self._made["id"], 0, checksum)

    async def post(self) -> None:
        if not await self.end_body():
            return
        made, incoming = self._made, self.incoming
        received = made["received"] if incoming is None else incoming.received
        expires_at = made["expires_at"] if incoming is None else incoming.expires_at
        self.set_header("Location", f"/api/v1/files/{made['id']}")
        self.show_progress(received, made["size"], expires_at)
        self.empty(201)


@stream_request_body
class File(TusHandler):
    """`/api/v1/files/{id}`: goes on with an upload, and hands a file out."""

    async def prepare_body(self) -> None:
        if self.request.method == "PATCH":
            id = self._id(self.path_args[0])
            offset = tus.number("Upload-Offset", self.request.headers.get("Upload-Offset"))
            await self.take_body(id, min(offset, tus.MAX_NUMBER), self.body_checksum())

    async def patch(self, id: str) -> None:
        if await self.end_body() and self.incoming is not None:
            incoming = self.incoming
            self.show_progress(incoming.received, incoming.size, incoming.expires_at)
            self.empty(204)

    async def head(self, id: str) -> None:  # type: ignore[override]
        self.check()
        if "Tus-Resumable" not in self.request.headers:
            await self.get(id)
            return
        found = await self.services.files.upload(self.principal, self._id(id))
        self.show_progress(found["received"], found["size"], found["expires_at"])
        self.set_header("Upload-Length", str(found["size"]))
        if found["metadata"]:
            self.set_header("Upload-Metadata", found["metadata"])
        self.empty(200)

    async def get(self, id: str) -> None:
        self.check()
        file = await self.services.files.find(self.principal, self._id(id))
        await Download(self, file).send()

    async def delete(self, id: str) -> None:
        self.check()
        await self.services.files.remove(self.principal, self._id(id))
        self.empty(204)

    def _id(self, id: str) -> str:
        if not is_id(id):
            raise not_found("file")
        return id


def _too_long(room: int) -> AnmeiError:
    return AnmeiError(
        ErrorCode.TOO_LARGE, f"the body is longer than the {room} bytes that the upload still lacks"
    )
