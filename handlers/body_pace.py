"""Bodies that come too slowly.

A large body may take hours on a slow line, so no deadline fits all of it; but whoever sends next to
nothing keeps a connection, and an upload, from everybody else.
"""

import asyncio
import logging

from tornado.iostream import IOStream

SPAN = 30.0  # seconds
#: Bytes that must come in each span.
LEAST = 16_384

log = logging.getLogger("anmei.http")


class BodyPace:
    """Closes `stream` unless LEAST bytes are heard in every span, until it is stopped."""

    def __init__(
        self, stream: IOStream, loop: asyncio.AbstractEventLoop, *, span: float = SPAN
    ) -> None:
        self._stream = stream
        self._loop = loop
        self._span = span
        self._heard = 0
        self._timer = loop.call_later(span, self._look)

    def heard(self, count: int) -> None:
        self._heard += count

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        if self._heard < LEAST:
            log.info("a body came at less than %d bytes in %g s: closed", LEAST, self._span)
            self._stream.close()
            return
        self._heard = 0
        self._timer = self._loop.call_later(self._span, self._look)
