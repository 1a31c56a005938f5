"""An event on its way out: encoded, framed and compressed once, for however many devices."""

from anmei.codec import encode_event
from anmei.wire import deflate_frame, text_frame


class Event:
    """One message to clients; `frame` is what goes into the sockets."""

    __slots__ = ("_deflated", "_payload", "frame")

    def __init__(self, payload: bytes) -> None:
        """`payload` is JSON in UTF-8: an event, or the answer to a frame."""
        self._payload = payload
        self._deflated: bytes | None = None
        self.frame = text_frame(payload)

    @classmethod
    def of(cls, type: str, data: object) -> "Event":
        return cls(encode_event(type, data))

    @property
    def deflated(self) -> bytes:
        """The frame for connections that agreed on permessage-deflate; made when the first one
        asks for it."""
        if self._deflated is None:
            self._deflated = deflate_frame(self._payload)
        return self._deflated
