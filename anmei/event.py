"""An event on its way out: encoded, framed and compressed once, for however many devices."""

from anmei.codec import encode_event
from anmei.wire import deflate_frame, text_frame


class Event:
    """One message to clients; `frame` is what goes into the sockets."""

    __slots__ = ("_deflated", "_payload", "frame", "known", "seq")

    def __init__(self, payload: bytes) -> None:
        """`payload` is JSON in UTF-8: an event, or the answer to a frame."""
        self._payload = payload
        self._deflated: bytes | None = None
        self.frame = text_frame(payload)
        #: Of a message that is new to most although it was changed since: its `seq`, and the event
        #: that it is to whoever holds everything up to there.
        self.seq = 0
        self.known: Event | None = None

    @classmethod
    def of(cls, type: str, data: object) -> "Event":
        return cls(encode_event(type, data))

    def to(self, place: int) -> "Event":
        """What it is to somebody who holds all numbers up to `place`."""
        return self if self.known is None or self.seq > place else self.known

    @property
    def deflated(self) -> bytes:
        """The frame for connections that agreed on permessage-deflate; made when the first one
        asks for it."""
        if self._deflated is None:
            self._deflated = deflate_frame(self._payload)
        return self._deflated
