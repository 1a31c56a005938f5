"""What a device needs of whatever carries its bytes. The WebSocket door implements it."""

from typing import Protocol

from anmei.close_codes import CloseCode


class Transport(Protocol):
    """One live connection, seen from the inside: five methods, none of which waits or raises."""

    def send(self, data: bytes) -> int:
        """Sends whole frames. Returns the bytes that wait now for the kernel to take them. After
        the connection ended this does nothing."""

    def buffered(self) -> int:
        """Bytes that `send` accepted and the kernel has not yet taken."""

    def ping(self) -> None:
        """Asks the peer for a sign of life."""

    def close(self, code: int, reason: str) -> None:
        """Ends the connection behind what was sent; drops it where the peer does not help.
        Once is enough, more does nothing."""

    def heard_at(self) -> float:
        """When the peer was last heard, in the time of the event loop (seconds)."""


class Stranger(Protocol):
    """A connection that has not said yet whose it is."""

    def send_away(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        """Ends it."""
