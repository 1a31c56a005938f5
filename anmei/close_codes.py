"""Close codes. The range alone tells a client what to do next.

| range     | what the client does                          |
|-----------|-----------------------------------------------|
| 4000–4099 | does not come back by itself                  |
| 4100–4199 | comes back after `retry_after_ms`             |
| 4200–4299 | comes back at once and syncs                  |

A `disconnect` frame with the same code, the reason, `reconnect` and `retry_after_ms` goes out
before every close, since browsers do not always hand the reason on.
"""

from enum import IntEnum


class CloseCode(IntEnum):
    """Why the server closed a connection; the docstring of each member says when and what next."""

    def __new__(cls, value: int, doc: str) -> "CloseCode":
        member = int.__new__(cls, value)
        member._value_ = value
        member.__doc__ = doc
        return member

    UNAUTHORIZED = (
        4001,
        ("The token is missing, wrong, expired or revoked, or none came in time: sign in again."),
    )
    FORBIDDEN = 4003, "The token is good, but not for what was asked: do not ask again with it."
    PROTOCOL_ERROR = (
        4008,
        ("Frames that no client of this protocol sends (binary, or errors without end): mend it."),
    )
    DISCONNECTED = 4009, "An operator or a backend ended this connection: do not come back."
    REPLACED = 4010, "The user opened more than allowed, and this was the oldest: close others."
    FRAME_TOO_LARGE = 4013, "A frame was larger than `limits.frame_bytes`: send smaller ones."

    OVERLOADED = 4100, "The server cannot serve this connection now: come back after the delay."
    RATE_LIMITED = 4101, "Frames kept coming far above the limit: come back after the delay."
    DRAINING = 4102, "This node is going down: come back after the delay, to another one."

    TOO_SLOW = 4200, "What was waiting to be read outgrew the queue: come back and sync."
    NO_HEARTBEAT = 4201, "Nothing was heard for the heartbeat timeout: come back and sync."
    TOKEN_EXPIRED = 4202, "The token expired: fetch a new one first, then come back and sync."
    SERVER_ERROR = 4203, "The server failed on this connection: come back and sync."

    @property
    def reconnect(self) -> bool:
        """Whether the client should come back by itself."""
        return self >= 4100

    @property
    def waits(self) -> bool:
        """Whether the client should wait for `retry_after_ms` first."""
        return 4100 <= self < 4200
