"""Bodies that are too large are answered rather than cut off, and those of strangers not kept."""

from collections.abc import Awaitable, Callable

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

#: How many times the limit is read, and let go, so that the client hears why: a server that hangs
#: up while somebody still sends takes its own answer away from them.
DRAINED = 8
#: The largest body, in bytes, that is kept for somebody who has shown nothing yet.
STRANGER_BYTES = 16_384

#: Who answers in place of the handler, where whoever asks may not; None where they may.
Refusal = Callable[[], Awaitable[HTTPMessageDelegate | None]]


class BodyLimit(HTTPMessageDelegate):
    """Hands on at most one byte more than `limit` of a body, so that whoever gets it sees that it
    is too long, and lets the rest go.

    Before a body that may be larger than STRANGER_BYTES, `refusal` is asked; of one that is refused
    nothing is kept. Without a `refusal` anybody may ask, and STRANGER_BYTES is the limit.
    """

    def __init__(
        self,
        inner: HTTPMessageDelegate,
        connection: HTTP1Connection,
        limit: int,
        refusal: Refusal | None,
    ) -> None:
        self._inner = inner
        self._connection = connection
        self._refusal = refusal
        self._whole = limit
        self._left = 1 + (limit if refusal is not None else min(limit, STRANGER_BYTES))

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._connection.set_max_body_size(self._whole * DRAINED)
        if self._refusal is None or not _may_be_large(headers):
            return self._inner.headers_received(start_line, headers)
        return self._ask(self._refusal, start_line, headers)

    async def _ask(
        self,
        refusal: Refusal,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
    ) -> None:
        refusing = await refusal()
        if refusing is not None:
            self._inner, self._left = refusing, 0
        waiting = self._inner.headers_received(start_line, headers)
        if waiting is not None:
            await waiting

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if not self._left:
            return None
        chunk = chunk[: self._left]
        self._left -= len(chunk)
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()


def _may_be_large(headers: HTTPHeaders) -> bool:
    if "Transfer-Encoding" in headers:
        return True
    length = headers.get("Content-Length", "0")
    # What is no number is refused by whoever reads the body.
    return not (length.isascii() and length.isdigit() and len(length) < 8) or (
        int(length) > STRANGER_BYTES
    )
