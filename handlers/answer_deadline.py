"""Answers that nobody takes.

Tornado waits for ever until a client has read what was written for it, and keeps all of it
meanwhile.
"""

import asyncio
import logging

from tornado.iostream import IOStream

#: Bytes that a client takes in each span, or the rest: whoever reads at all is quicker.
LEAST_TAKEN = 131_072

log = logging.getLogger("anmei.http")


class AnswerDeadline:
    """Closes `stream` unless, in every span of `patience` seconds, LEAST_TAKEN bytes or the rest
    of what has been written to it so far are taken."""

    def __init__(self, stream: IOStream, patience: float, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._patience = patience
        self._loop = loop
        # Counted since the connection began: an answer to a later request is no part of this one.
        self._end = stream._total_write_index
        self._taken = stream._total_write_done_index
        if self._taken < self._end:
            loop.call_later(patience, self._look)

    def _look(self) -> None:
        before, self._taken = self._taken, self._stream._total_write_done_index
        if self._stream.closed() or self._taken >= self._end:
            return
        if self._taken - before < LEAST_TAKEN:
            log.info("an answer was left unread for %g s: closed", self._patience)
            self._stream.close()
        else:
            self._loop.call_later(self._patience, self._look)
