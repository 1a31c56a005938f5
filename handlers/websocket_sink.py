"""Who a connection's messages go to."""

from collections.abc import Awaitable
from typing import Protocol


class Sink(Protocol):
    """What a Link talks to, from after the handler's `open()` until `on_closed`.

    An exception out of any of these closes the connection with 4203.
    """

    def on_text(self, data: bytes) -> Awaitable[None] | None:
        """A text message, valid UTF-8. What is returned is awaited before the next message."""

    def on_binary(self) -> None:
        """A binary message, which no client of Anmei's protocol sends."""

    def on_control(self) -> None:
        """The link is about to send a control frame of its own: whatever the sink keeps back to
        send it together with more goes first."""

    def on_drain(self) -> None:
        """Bytes had to wait, and now none do."""

    def on_closed(self, code: int, reason: str) -> None:
        """The connection is gone; called exactly once, whatever happened. `code` is that of the
        peer's close frame, 1005 when it had none, and 1006 when no close frame came."""
