"""How the bytes of an upgraded connection go in and out."""

from typing import Protocol

from tornado.iostream import IOStream, SSLIOStream

from handlers.conduit_socket import SocketConduit
from handlers.conduit_stream import StreamConduit


class Owner(Protocol):
    """Who a conduit belongs to. Nothing is called from within a call of the conduit's."""

    def on_bytes(self, data: bytes) -> None:
        """What has come; never empty."""

    def on_written(self) -> None:
        """Bytes had to wait, and now none do."""

    def on_lost(self) -> None:
        """The connection is closed, by either side; told once."""


class Conduit(Protocol):
    """One connection below the WebSocket protocol. No method waits, and none raises."""

    @property
    def waiting(self) -> int:
        """Bytes accepted and not yet taken by the kernel."""

    def start(self, owner: Owner) -> None:
        """Begins to read."""

    def write(self, data: bytes) -> int:
        """Sends `data` behind what waits. Returns the bytes that wait now; 0 once it is closed, or
        behind `write_last`."""

    def write_last(self, data: bytes) -> None:
        """`write`, after which nothing more is taken."""

    def pause(self) -> None:
        """Stops reading."""

    def resume(self) -> None:
        """Reads again."""

    def half_close(self) -> None:
        """Tells the peer that nothing more comes; reading goes on. Nothing may be waiting."""

    def close(self) -> None:
        """Ends the connection; what waits is lost."""


def open_conduit(stream: IOStream) -> Conduit:
    """The conduit for a stream that Tornado has let go of, with nothing waiting to be written:
    the bare socket, except through TLS."""
    return StreamConduit(stream) if isinstance(stream, SSLIOStream) else SocketConduit(stream)
