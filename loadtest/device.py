"""One WebSocket client of the swarm: its connection, its handshake and its cuts."""

import os
import socket

from loadtest import wire
from loadtest.dialects import Dialect

CHUNK_BYTES = 65_536


class SwarmError(Exception):
    """The devices could not do what the scenario needs; the text says what happened."""


class Device:
    """One connection."""

    __slots__ = ("fd", "index", "ready", "received", "requested", "socket", "tail", "upgraded")

    def __init__(self, index: int, sock: socket.socket):
        self.index = index
        self.socket = sock
        self.fd = sock.fileno()
        self.requested = False
        self.upgraded = False
        self.ready = False
        #: What the handshake has not used yet; later what `cut` has left for the next chunk.
        self.tail = b""
        #: For the meters: how many of whatever they count.
        self.received = 0

    def send(self, frame: bytes) -> None:
        """Send a small frame whole. Raises SwarmError when it cannot."""
        try:
            sent = self.socket.send(frame)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise SwarmError(f"device {self.index}: {error}") from error
        if sent < len(frame):
            raise SwarmError(f"device {self.index}: the server does not read what is sent")

    def cut(self, data: bytes) -> bytes:
        """`data` behind what was left of the last chunk, up to its last brace or bracket.

        No marker contains one, so none is ever torn in two.
        """
        data = self.tail + data
        end = max(data.rfind(b"}"), data.rfind(b"]")) + 1
        self.tail = data[end:]
        return data[:end]

    def request(self, dialect: Dialect, host: str) -> None:
        """Send the opening request. Raises SwarmError."""
        self.requested = True
        self.send(wire.upgrade_request(dialect.target_of(self.index), host))

    def shake_hands(self, dialect: Dialect) -> None:
        """Read what came and go on with the handshake; sets `ready` at its end, when `tail` holds
        what came behind it. Raises SwarmError."""
        try:
            data = os.read(self.fd, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise SwarmError(f"device {self.index}: {error}") from error
        if not data:
            raise SwarmError(
                f"device {self.index}: closed while connecting, after {self.tail[:400]!r}"
            )
        self.tail += data
        if not self.upgraded and not self._take_upgrade(dialect):
            return
        self.ready = not dialect.ready
        while not self.ready and (frame := wire.next_frame(self.tail)) is not None:
            payload, end = frame
            self.tail = self.tail[end:]
            self.ready = dialect.ready in payload

    def _take_upgrade(self, dialect: Dialect) -> bool:
        head, end, rest = self.tail.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 101"):
            raise SwarmError(f"device {self.index} was refused: {self.tail[:400]!r}")
        self.upgraded = True
        self.tail = rest
        if dialect.opening:
            self.send(dialect.opening)
        return True
