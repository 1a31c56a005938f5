"""What can be answered instead of what was asked for.

    Exception
    └── AnmeiError          an answer for whoever asked; carries a code of the table below
        └── BadFrame        the same, for a frame that could not be read; carries the frame's id

Every error on every door has one of these codes. `retryable` says whether the same request may
succeed later, unchanged; a client repeats it with the same `client_msg_id` or `Idempotency-Key`.
Absent and forbidden look the same from outside: `not_found`.
"""

from enum import Enum


class ErrorCode(Enum):
    """Code, HTTP status, whether it is retryable, and when it is sent."""

    BAD_REQUEST = (
        "bad_request",
        400,
        False,
        "It cannot be read, or a value is not allowed.",
    )
    UNAUTHORIZED = "unauthorized", 401, False, "No token, or one that does not hold."
    FORBIDDEN = "forbidden", 403, False, "The token is good but lacks the role this needs."
    NOT_FOUND = "not_found", 404, False, "There is no such thing, or none that you may see."
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, False, "The route exists, the method does not."
    CONFLICT = "conflict", 409, False, "It clashes with what exists: an id taken by another one."
    OUTDATED = (
        "outdated",
        412,
        False,
        "A version of the upload protocol that this server does not speak.",
    )
    TOO_LARGE = "too_large", 413, False, "Larger than the limit that the message names."
    UNSUPPORTED_MEDIA = (
        "unsupported_media",
        415,
        False,
        "The body is of a type that this route does not take.",
    )
    RANGE = "range", 416, False, "The file has no such part."
    UNSUPPORTED = "unsupported", 422, False, "A frame type that this server does not know."
    LOCKED = "locked", 423, True, "Another request writes to it: try again in a moment."
    RATE_LIMITED = "rate_limited", 429, True, "Too many requests: wait for `retry_after_ms`."
    CHECKSUM = "checksum", 460, True, "What came is not what its checksum says: send it again."
    INTERNAL = "internal", 500, True, "The server failed; `request_id` finds it in the log."
    OVERLOADED = "overloaded", 503, True, "Too much is waiting already: try again later."
    UNAVAILABLE = (
        "unavailable",
        503,
        True,
        "The database cannot be reached: try again.",
    )
    TIMEOUT = (
        "timeout",
        504,
        True,
        "No answer in time: retry with the same id.",
    )

    def __init__(self, code: str, status: int, retryable: bool, doc: str) -> None:
        self.code = code
        self.status = status
        self.retryable = retryable
        self.doc = doc


class AnmeiError(Exception):
    """An answer for whoever asked: `code`, a `message` that says what was expected, what came and
    what is allowed, and for some errors `retry_after_ms` and `details`."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retry_after_ms: int | None = None,
        details: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.details = details

    def to_wire(self) -> dict[str, object]:
        """The `error` object of frames and HTTP answers."""
        body: dict[str, object] = {
            "code": self.code.code,
            "message": self.message,
            "retryable": self.code.retryable,
        }
        if self.retry_after_ms is not None:
            body["retry_after_ms"] = self.retry_after_ms
        if self.details:
            body["details"] = self.details
        return body


class BadFrame(AnmeiError):
    """A client frame that could not be read; `frame_id` is its id where that could be."""

    def __init__(self, code: ErrorCode, message: str, frame_id: str | None = None) -> None:
        super().__init__(code, message)
        self.frame_id = frame_id


def not_found(what: str) -> AnmeiError:
    """The one answer for what is absent and for what the asker may not see."""
    return AnmeiError(ErrorCode.NOT_FOUND, f"no such {what}, or not one of yours")
