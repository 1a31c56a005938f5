"""Listening sockets that rest while the process can open no more files.

Tornado's own accept handler is called again in the same moment, for as long as a connection waits:
the loop would spin and the log would fill until somebody leaves.
"""

import errno
import logging
import socket
from collections.abc import Iterable
from typing import Any

from tornado.ioloop import IOLoop

REST = 0.5  # seconds until the next look

#: What `accept` says where the connection is good and this machine is full.
FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = logging.getLogger("anmei.listener")


#: Connections that one of several workers takes before it looks after those it has. Whoever wakes
#: first would empty the queue, since servers accept until nothing waits.
AT_ONCE = 4


class Listener(socket.socket):
    """A listening socket; those who come while nothing can be opened wait in its backlog.

    One that is `shared` says after a few connections that nothing waits, so that the other
    processes get theirs; the loop comes back to it.
    """

    shared = False
    _taken = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """A connection. Raises BlockingIOError where none waits, or none can be taken now."""
        if self.shared:
            if self._taken == AT_ONCE:
                self._taken = 0
                raise BlockingIOError
            self._taken += 1
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in FULL:
                raise
            log.warning("newcomers wait: %s", error.strerror)
            loop = IOLoop.current()
            loop.update_handler(self.fileno(), 0)
            loop.call_later(REST, self._look_again, loop)
            raise BlockingIOError(errno.EAGAIN, error.strerror) from None

    def _look_again(self, loop: IOLoop) -> None:
        if self.fileno() != -1:
            loop.update_handler(self.fileno(), IOLoop.READ)


def listeners(sockets: Iterable[socket.socket], *, shared: bool = False) -> list[socket.socket]:
    """The same sockets, patient. Those that are handed in are used up."""
    return [_patient(each, shared) for each in sockets]


def _patient(plain: socket.socket, shared: bool) -> Listener:
    listener = Listener(fileno=plain.detach())
    # Always, whatever this process knows of it: the flag belongs to all who share the socket, and
    # an `accept` that waits would stop the loop of whoever comes second.
    listener.setblocking(False)
    listener.shared = shared
    return listener
